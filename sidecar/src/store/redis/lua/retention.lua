-- retention: what is over is forgotten, each part after its own time. FINISHED holds all that is over by the moment of
-- its end. What is forgotten as a whole leaves it; what only loses a part stays, so each part has a walk of its own
-- through it and remembers the row that it came to. A row never moves to before such a place: it can only end anew,
-- later. Should a clock jump back, or a time be made longer, the walk goes back with it: to forget twice does no harm.
local WALKS = S .. 'walks'

local function rows_after(place, most)
  -- no id ends in `!`, and none has another as its beginning: this one stands right behind the row, or where it was
  local mark = place.row .. '!'
  call('ZADD', FINISHED, place.ended, mark)
  local first = call('ZRANK', FINISHED, mark)
  call('ZREM', FINISHED, mark)
  return call('ZRANGE', FINISHED, first, first + most - 1, 'WITHSCORES')
end

-- Calls `visit` with at most about `limit` rows that ended at or before `before`, going on where the last walk of this
-- name ended; `visit` answers at how many more it looked. Answers whether there may be more.
local function walk(name, before, limit, visit)
  local ended, row = string.match(call('HGET', WALKS, name) or '', '^(%S+) (%S+)$')
  local place = { ended = tonumber(ended or 0), row = row or '' }
  if place.ended > before then place = { ended = before, row = '~' } end
  local looked = 0
  local rows = rows_after(place, limit)
  for i = 1, #rows, 2 do
    local at = tonumber(rows[i + 1])
    if at > before or looked >= limit then break end
    looked = looked + 1 + (visit(rows[i]) or 0)
    place = { ended = at, row = rows[i] }
  end
  call('HSET', WALKS, name, whole(place.ended) .. ' ' .. place.row)
  return looked >= limit
end

local function is_delivery(id) return string.sub(id, 1, 4) == 'dlv_' end
local forgotten = 0

-- Forgets an event's payload, unless one of its deliveries is pending or ended after `before`. Answers at how many it
-- looked.
local function strip(event, before)
  local looked = 0
  if is_bare(event) then return looked end
  for delivery in string.gmatch(call('HGET', P .. event, 'd') or '', '%S+') do
    looked = looked + 1
    local d = call('HMGET', P .. delivery, 's', 'u')
    if d[1] and (d[1] == 'pending' or tonumber(d[2]) > before) then return looked end
  end
  call('HSET', P .. event, 'z', call('HSTRLEN', P .. event, 'p'))
  forgotten = forgotten + call('HDEL', P .. event, 'p')
  return looked
end

local function forget_replay(replay)
  call('ZREM', S .. 'replays', replay)
  return call('DEL', P .. replay)
end

local forget_by = { evt_ = forget_event, rpl_ = forget_replay, dlv_ = forget_delivery }

-- Forgets all of a row. Should its event stay for another delivery, its payload may have waited for this one only.
local function forget_row(id, payloads)
  call('ZREM', FINISHED, id)
  local event = payloads and is_delivery(id) and call('HGET', P .. id, 'e')
  forgotten = forgotten + forget_by[string.sub(id, 1, 4)](id)
  return event and strip(event, payloads) or 0
end

-- Forgets what ended at or before these moments, each absent when it is not a number. Answers how much is gone, and
-- whether there may be more.
local function forget(limit, finished, dead, payloads, attempts)
  local more = false
  if attempts then
    more = walk('attempts', attempts, limit, function(id)
      if is_delivery(id) then forgotten = forgotten + call('DEL', P .. 'try:' .. id) end
    end) or more
  end
  if payloads then
    more = walk('payloads', payloads, limit, function(id)
      local event = is_delivery(id) and call('HGET', P .. id, 'e') or string.sub(id, 1, 4) == 'evt_' and id
      return event and strip(event, payloads)
    end) or more
  end
  -- of one time for all there is nothing to walk past
  if finished == dead then
    local old = call('ZRANGE', FINISHED, '-inf', finished, 'BYSCORE', 'LIMIT', 0, limit)
    for _, id in ipairs(old) do forget_row(id, payloads) end
    return forgotten, more or #old == limit
  end
  local function is_dead(id)
    return is_delivery(id) and (call('HGET', P .. id, 's') or 'delivered') ~= 'delivered'
  end
  more = walk('finished', finished, limit, function(id)
    return not is_dead(id) and forget_row(id, payloads)
  end) or more
  more = walk('dead', dead, limit, function(id)
    return is_dead(id) and forget_row(id, payloads)
  end) or more
  return forgotten, more
end
