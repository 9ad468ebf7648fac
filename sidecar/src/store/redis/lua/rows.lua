-- rows: what is done to deliveries and events by hand, by retention, and when their endpoint is deleted.

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
