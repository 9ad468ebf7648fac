-- What every script of a shard shares: its keys, an endpoint's turn, a delivery's place in a queue. A script makes all
-- of this anew whenever it runs, so what only some need is in files of its own (`ends`, `leases`, `rows`).
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

-- A command over many (score, member) or members at once: `rest` is passed in parts that fit on Lua's stack.
local function each(command, key, rest)
  for first = 1, #rest, 1000 do call(command, key, unpack(rest, first, math.min(first + 999, #rest))) end
end

-- Writes what was noted on the way. Every script that changes something ends with it.
local closing = {}
local function close()
  for _, write in ipairs(closing) do write() end
  for tenant in pairs(moved) do call('HSET', SHARES, tenant, stands[tenant]) end
end

-- Tells the other processes that this shard has work, or that a tenant's endpoints changed.
local function tell(channel, origin, shard, tenant)
  call('PUBLISH', channel, origin .. ' ' .. shard .. (tenant and ' ' .. tenant or ''))
end
