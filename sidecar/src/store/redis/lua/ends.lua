-- ends: of pending deliveries, of their places in lines, and what is ahead then.

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
closing[1] = write_ends

-- When there may be something to lease: 0 for at once, -1 for never by itself, else the moment (ms), as a string.
local function horizon()
  if call('ZCARD', TURN) > 0 then return '0' end
  local wait = call('ZRANGE', WAIT, 0, 0, 'WITHSCORES')[2]
  local lease = call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')[2]
  if wait and lease then return tonumber(wait) < tonumber(lease) and wait or lease end
  return wait or lease or '-1'
end
