-- 1: one step of a place from schema 1 to schema 2. Needs nothing of the other scripts, which go on changing; may be
-- left off after any step, and be done by several processes at once.
-- Schema 2 gives names of its own (`2:…`) to what is worked on: sums, turns, leases, endpoints. A process of schema 1
-- that still runs finds none of it: it leases nothing, knows no endpoint, and fails to accept before it has written
-- anything. What it was delivering comes again when its leases end: its results are of a token that nobody has.
-- Retries get a queue of their own beside that of first attempts.
-- KEYS 1 the layout's hash   ARGV: 1 the shard's prefix, empty for what is no shard's · 2 most rows in one step
-- Answers 1 when there is more to do.
local layout, P, most, call = KEYS[1], ARGV[1], tonumber(ARGV[2]), redis.call
if call('HGET', layout, 'schema') ~= '1' then return 0 end
local function done()
  call('HDEL', layout, 'endpoint', 'row')
  call('HSET', layout, 'schema', 2)
  return 0
end
if P == '' then return done() end
local S = P .. '2:'

local function rename(name)
  if call('EXISTS', P .. name) == 1 then call('RENAMENX', P .. name, S .. name) end
end

-- All at once: from here on the old processes are out.
if call('TYPE', P .. 'sums').ok ~= 'string' then
  for _, name in ipairs({ 'sums', 'turn', 'wait', 'leases', 'shares', 'finished', 'dead', 'events', 'gone', 'expiring',
    'endpoints', 'replays', 'replaying' }) do rename(name) end
  call('SET', P .. 'sums', 'moved to schema 2')
  for _, delivery in ipairs(call('ZRANGE', S .. 'leases', 0, -1)) do
    local token = call('HGET', P .. delivery, 't')
    if token then call('HSET', P .. delivery, 't', '-' .. token) end
  end
  return 1
end

local function move(endpoint)
  local state = S .. 'ep:' .. endpoint
  rename('ep:' .. endpoint)
  local tenant, breaker = unpack(call('HMGET', state, 'tenant', 'breaker'))
  if tenant then rename('tenant:' .. tenant) end
  -- it has opened once, at least
  if breaker and breaker ~= 'closed' then call('HSETNX', state, 'openings', 1) end
end

-- Parts retries from first attempts, from this row on. Answers the row to go on with, and how many were looked at.
local function part(endpoint, row, limit)
  local queue = P .. 'queue:' .. endpoint
  local rows = call('ZRANGE', queue, row, row + limit - 1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    local d = call('HMGET', P .. rows[i], 'a', 'b')
    if d[1] == d[2] then
      row = row + 1
    else
      call('ZREM', queue, rows[i])
      call('ZADD', P .. 'again:' .. endpoint, rows[i + 1], rows[i])
    end
  end
  return row, #rows / 2
end

-- A turn for whatever waits: who takes finds out whether it is its time.
local function join(endpoint)
  if call('EXISTS', P .. 'queue:' .. endpoint, P .. 'again:' .. endpoint) > 0 then
    call('ZADD', S .. 'turn', 'NX', call('HGET', S .. 'sums', 'serial') or 0, endpoint)
  end
end

local at, row = unpack(call('HMGET', layout, 'endpoint', 'row'))
at, row = tonumber(at or 0), tonumber(row or 0)
while most > 0 do
  local endpoint = call('ZRANGE', S .. 'endpoints', at, at)[1]
  if not endpoint then return done() end
  if row == 0 then move(endpoint) end
  local limit, looked = most, 0
  row, looked = part(endpoint, row, limit)
  most = most - looked - 1
  if looked < limit then
    join(endpoint)
    at, row = at + 1, 0
  end
end
call('HSET', layout, 'endpoint', at, 'row', row)
return 1
