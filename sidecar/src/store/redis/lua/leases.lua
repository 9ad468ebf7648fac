-- leases: what becomes of those that nobody settles.

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
