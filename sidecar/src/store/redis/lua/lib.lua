-- What every script of a shard shares: its keys, an endpoint's turn, the end of a delivery.
-- KEYS 1: the shard's prefix with its hash tag, `hg:{05}:`. Every key is made from it, so a script stays in one slot.
-- Numbers that become part of a string go through `whole`: Lua itself would write them with 14 digits. What is a
-- string stays one where it is only written: Redis prints a number slowly.
-- What is worked on has names of its schema besides (`2:`), so that a process of the first finds nothing to harm.
local P, call = KEYS[1], redis.call
local S = P .. '2:'
-- The present, in scripts that begin with it.
local NOW = ARGV[1]
local SUMS, TURN, WAIT, LEASES = S .. 'sums', S .. 'turn', S .. 'wait', S .. 'leases'
local SHARES = S .. 'shares'
local FINISHED, DEAD, EVENTS, GONE = S .. 'finished', S .. 'dead', S .. 'events', S .. 'gone'
local EXPIRING = S .. 'expiring'

-- A shard of another schema is left alone: it waits to be moved on, or a newer process moved it on meanwhile.
if string.sub(P, -2) == '}:' then
  local schema = call('HGET', P .. 'layout', 'schema')
  if schema and schema ~= SCHEMA then
    return redis.error_reply('SCHEMA ' .. schema .. ' is what this shard has, ' .. SCHEMA .. ' what this program knows')
  end
end

local function whole(number) return string.format('%.0f', number) end
-- First attempts wait in the one, retries in the other.
local function queue_of(endpoint, again) return P .. (again and 'again:' or 'queue:') .. endpoint end
-- By the attempts made (`a`), and those before its present schedule began (`b`): neither is written while it is 0.
local function is_retry(made, before) return (made or '0') ~= (before or '0') end
local function state_of(endpoint) return S .. 'ep:' .. endpoint end
-- First in, first out: the deliveries of one line (`=`, and the key if it is a key's) by their places. Only its head
-- stands in a queue, or is in an attempt.
local function line_of(endpoint, line) return P .. 'line:' .. endpoint .. line end

-- Attempts that an endpoint may have at once: its cap is in thousandths, 0 for its own `max`.
local function concurrency(max, cap)
  if cap == 0 then return max end
  return math.min(math.max(math.floor(cap / 1000), 1), max)
end

-- The turn is fair over tenants: start-time fair queueing (Goyal, Vin and Cheng, 1996). An endpoint's tag is the later
-- of the tag served last, `serial`, and where its tenant stands; joining moves the tenant by one turn. A tenant of a
-- hundred endpoints is so served as often as one of a single. Where tenants stand is written by `close`.
local tenants, stands, moved, served = {}, {}, {}, nil
local function serial()
  served = served or tonumber(call('HGET', SUMS, 'serial') or 0)
  return served
end

-- Into the turn, unless it stands there already. Answers whether it is new there.
local function join(endpoint)
  tenants[endpoint] = tenants[endpoint] or call('HGET', state_of(endpoint), 'tenant') or ''
  local tenant = tenants[endpoint]
  stands[tenant] = stands[tenant] or tonumber(call('HGET', SHARES, tenant) or 0)
  local tag = math.max(serial(), stands[tenant])
  if call('ZADD', TURN, 'NX', tag, endpoint) == 0 then return false end
  stands[tenant], moved[tenant] = tag + 1, true
  return true
end

-- The next one whose turn it is.
local function pop_turn()
  local first = call('ZPOPMIN', TURN)
  if first[2] then served = math.max(serial(), tonumber(first[2])) end
  return first[1]
end

-- A delivery waits in its endpoint's queue, `again` when it is a retry; the endpoint for its turn or for the moment.
-- Answers whether it joined.
local function enqueue(endpoint, delivery, due, again, now)
  call('ZADD', queue_of(endpoint, again), due, delivery)
  if due <= now then return join(endpoint) end
  call('ZADD', WAIT, 'LT', due, endpoint)
  return false
end

-- A delivery stands at the end of its line, unless it stands there already. Answers whether it is the head. `behind`
-- counts an endpoint's others: they stand in no queue.
local function stand(endpoint, line, delivery)
  local key = line_of(endpoint, line)
  local last = call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
  if call('ZADD', key, 'NX', (last or 0) + 1, delivery) == 0 then return call('ZRANK', key, delivery) == 0 end
  if last then call('HINCRBY', state_of(endpoint), 'behind', 1) end
  return not last
end

-- A delivery leaves its line, wherever it stood; who stood behind a head is the next one. Of an endpoint that is no more
-- it is to be buried.
local function leave(endpoint, line, delivery, now)
  local key = line_of(endpoint, line)
  local first = call('ZRANGE', key, 0, 1)
  if call('ZREM', key, delivery) == 0 then return end
  local next = first[1] == delivery and first[2]
  local there = call('EXISTS', state_of(endpoint)) == 1
  if there and (next or first[1] ~= delivery) then call('HINCRBY', state_of(endpoint), 'behind', -1) end
  if not next then return end
  local due = tonumber(call('HGET', P .. next, 'due') or now)
  if there then enqueue(endpoint, next, due, false, now) else call('ZADD', queue_of(endpoint), due, next) end
end

-- Dead letters are listed by their events, as deliveries are.
local function dead_letter(event, delivery) return event .. '.' .. delivery end

-- A command over many (score, member) or members at once: `rest` is passed in parts that fit on Lua's stack.
local function each(command, key, rest)
  for first = 1, #rest, 1000 do call(command, key, unpack(rest, first, math.min(first + 999, #rest))) end
end

-- How many of these keys exist.
local function existing(keys)
  local count = 0
  for first = 1, #keys, 1000 do count = count + call('EXISTS', unpack(keys, first, math.min(first + 999, #keys))) end
  return count
end

-- Ends of pending deliveries, noted one by one and written together: `d` has endpoint, event, and line if it stands in
-- one; `status` is `delivered` or `dead:` and the reason.
local over = { finished = {}, dead = {}, delivered = 0 }
local function finish(delivery, d, status, now, fields)
  call('HSET', P .. delivery, 's', status, 'u', NOW, 't', '', unpack(fields or {}))
  over.finished[#over.finished + 1] = NOW
  over.finished[#over.finished + 1] = delivery
  if status == 'delivered' then
    over.delivered = over.delivered + 1
  else
    over.dead[#over.dead + 1] = '0'
    over.dead[#over.dead + 1] = dead_letter(d.event, delivery)
  end
  if d.line then leave(d.endpoint, d.line, delivery, now) end
end

local function write_ends()
  if #over.finished == 0 then return end
  local dead = #over.dead / 2
  each('ZADD', FINISHED, over.finished)
  each('ZADD', DEAD, over.dead)
  call('HINCRBY', SUMS, 'pending', -over.delivered - dead)
  if over.delivered > 0 then call('HINCRBY', SUMS, 'delivered', over.delivered) end
  if dead > 0 then call('HINCRBY', SUMS, 'dead', dead) end
end

-- Writes what was noted on the way. Every script that changes something ends with it.
local function close()
  write_ends()
  for tenant in pairs(moved) do call('HSET', SHARES, tenant, stands[tenant]) end
end

-- `count` attempts at an endpoint are over, and it may have its turn again if only its cap kept it out.
local function land(endpoint, count)
  local state = state_of(endpoint)
  if call('HINCRBY', state, 'flight', -count) < 0 then call('HSET', state, 'flight', 0) end
  if call('HDEL', state, 'full') == 1 then join(endpoint) end
end

-- A lease that nobody will settle: its delivery goes back to where it stood in its queue. A probe's turn passes on.
local function give_back(delivery, now)
  call('ZREM', LEASES, delivery)
  local d = call('HMGET', P .. delivery, 'p', 'due', 'e', 't', 'a', 'b', 'l')
  if d[1] and call('EXISTS', state_of(d[1])) == 1 then
    call('HSET', P .. delivery, 't', '')
    land(d[1], 1)
    enqueue(d[1], delivery, tonumber(d[2]), is_retry(d[5], d[6]), now)
    if string.sub(d[4] or '', -1) == '?' then call('HSET', state_of(d[1]), 'breaker', 'open', 'until', now) end
  elseif d[1] then
    finish(delivery, { endpoint = d[1], event = d[3], line = d[7] }, 'dead:endpoint_deleted', now)
  end
end

-- Ended leases go back, at most `limit`. Answers how many.
local function reclaim(now, limit)
  local ended = call('ZRANGE', LEASES, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
  for _, delivery in ipairs(ended) do give_back(delivery, now) end
  return #ended
end

-- What waits for an endpoint that is no more becomes dead letters, at most `limit`. Answers how many. Who stands behind
-- a head comes into the queue with its end.
local function bury(endpoint, now, limit)
  local buried, queues = 0, { queue_of(endpoint), queue_of(endpoint, true) }
  while buried < limit do
    local waiting = call('ZPOPMIN', queues[1], limit - buried)
    if #waiting == 0 then waiting = call('ZPOPMIN', queues[2], limit - buried) end
    if #waiting == 0 then break end
    for i = 1, #waiting, 2 do
      local d = call('HMGET', P .. waiting[i], 'e', 'l')
      finish(waiting[i], { endpoint = endpoint, event = d[1], line = d[2] }, 'dead:endpoint_deleted', now)
    end
    buried = buried + #waiting / 2
  end
  if buried < limit then call('SREM', GONE, endpoint) end
  return buried
end

-- What is known of a delivery; nothing when there is none.
local function standing(delivery)
  local d = call('HMGET', P .. delivery, 's', 't', 'p', 'a', 'e', 'l')
  return d[1] and { status = d[1], token = d[2], endpoint = d[3], attempts = d[4] or '0', event = d[5], line = d[6] }
end

-- Whose a delivery is, if its endpoint is there, and not by now another tenant's of the same name.
local function at_home(d)
  local owner = call('HGET', state_of(d.endpoint), 'tenant')
  return owner and owner == call('HGET', P .. d.event, 't') and owner
end

-- Whether there is nothing to send: retention forgot the event's payload.
local function is_bare(event) return call('HEXISTS', P .. event, 'p') == 0 end

-- A delivery is due at once, with a fresh schedule; in its line it keeps its place, or joins the end when it was over.
-- Answers whether its endpoint joined the turn.
local function make_due(delivery, d, now)
  if d.status == 'pending' then
    call('ZREM', queue_of(d.endpoint, true), delivery)
  else
    call('HINCRBY', SUMS, d.status == 'delivered' and 'delivered' or 'dead', -1)
    call('HINCRBY', SUMS, 'pending', 1)
    call('ZREM', FINISHED, delivery)
    call('ZREM', DEAD, dead_letter(d.event, delivery))
  end
  call('HSET', P .. delivery, 's', 'pending', 'due', now, 'b', d.attempts, 'u', now)
  local first = not d.line or stand(d.endpoint, d.line, delivery)
  return first and enqueue(d.endpoint, delivery, now, false, now)
end

-- Answers how many rows are gone.
local function forget_event(event)
  call('ZREM', EVENTS, event)
  return call('DEL', P .. event)
end

-- A finished delivery with its attempts; an event goes with the last of its deliveries. Answers how many rows are gone.
local function forget_delivery(delivery)
  local d = call('HMGET', P .. delivery, 'e', 's')
  if not d[1] then return 0 end
  if d[2] ~= 'delivered' then call('ZREM', DEAD, dead_letter(d[1], delivery)) end
  call('HINCRBY', SUMS, d[2] == 'delivered' and 'delivered' or 'dead', -1)
  call('DEL', P .. delivery, P .. 'try:' .. delivery)
  local last = call('EXISTS', P .. d[1]) == 1 and call('HINCRBY', P .. d[1], 'k', -1) <= 0
  return 1 + (last and forget_event(d[1]) or 0)
end

-- When there may be something to lease: 0 for at once, -1 for never by itself, else the moment (ms), as a string.
local function horizon()
  if call('ZCARD', TURN) > 0 then return '0' end
  local wait = call('ZRANGE', WAIT, 0, 0, 'WITHSCORES')[2]
  local lease = call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2]
  if wait and lease then return tonumber(wait) < tonumber(lease) and wait or lease end
  return wait or lease or '-1'
end

-- Tells the other processes that this shard has work, or that a tenant's endpoints changed.
local function tell(channel, origin, shard, tenant)
  call('PUBLISH', channel, origin .. ' ' .. shard .. (tenant and ' ' .. tenant or ''))
end
