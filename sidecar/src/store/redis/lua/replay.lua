-- replay: one step of a replay, all or nothing.
-- ARGV: 1 now (ms) · 2 room for deliveries · 3 channel · 4 origin · 5 shard · 6 replay · 7 its version · 8 JSON
--       9 running 1 or 0 · 10 tenant · 11 most to make due · then work of (delivery, event, endpoint, line); event,
--       endpoint and line are empty for a delivery that is there and is to be made due again, else a new one is made,
--       unless it is there; line is empty for none
-- Answers {0 done, replayed, failed} in all · {1} when another step came first · {2} when full.
local now, room, replay, version = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[6], tonumber(ARGV[7])
local tenant, most = ARGV[10], tonumber(ARGV[11])
local key = P .. replay
if tonumber(call('HGET', key, 'v') or 0) ~= version then return { 1 } end

local found, fresh, failed, seen = {}, 0, 0, {}

local function retry(delivery)
  local d = standing(delivery)
  local can = d and d.status ~= 'pending' and at_home(d) == tenant and not is_bare(d.event)
  if can then found[#found + 1] = { delivery, d } else failed = failed + 1 end
end

local function send(delivery, event, endpoint, line)
  if call('EXISTS', P .. delivery) == 1 then return end
  local there = call('HGET', P .. event, 't') == tenant and call('HGET', state_of(endpoint), 'tenant') == tenant
  if not there or is_bare(event) then
    failed = failed + 1
    return
  end
  found[#found + 1] = { delivery, false, event, endpoint, line }
  fresh = fresh + 1
end

for i = 12, #ARGV, 4 do
  if #found >= most then break end
  local delivery, event, endpoint, line = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if seen[delivery] then
    if event == '' then failed = failed + 1 end
  elseif event == '' then
    retry(delivery)
  else
    send(delivery, event, endpoint, line)
  end
  seen[delivery] = true
end

local added = #found
if added > 0 and tonumber(call('HGET', SUMS, 'pending') or 0) + added > room then return { 2 } end

-- An event lists its deliveries newest first.
local function list(event, delivery)
  local ids = { delivery }
  for id in string.gmatch(call('HGET', P .. event, 'd') or '', '%S+') do ids[#ids + 1] = id end
  table.sort(ids, function(a, b) return a > b end)
  call('HSET', P .. event, 'd', table.concat(ids, ' '))
  call('HINCRBY', P .. event, 'k', 1)
  call('ZREM', FINISHED, event)
end

local function make(delivery, event, endpoint, line)
  call('HSET', P .. delivery, 'e', event, 'p', endpoint, 's', 'pending', 'a', 0, 'b', 0, 'due', now, 'u', now)
  list(event, delivery)
  if line ~= '' then call('HSET', P .. delivery, 'l', line) end
  if line == '' or stand(endpoint, line, delivery) then enqueue(endpoint, delivery, now, false, now) end
end

for _, one in ipairs(found) do
  if one[2] then make_due(one[1], one[2], now) else make(one[1], one[3], one[4], one[5]) end
end
close()
if fresh > 0 then call('HINCRBY', SUMS, 'pending', fresh) end
if added > 0 then tell(ARGV[3], ARGV[4], ARGV[5]) end

call('HSET', key, 'v', version + 1, 'j', ARGV[8])
call('ZADD', S .. 'replays', 0, replay)
if ARGV[9] == '1' then
  call('ZADD', S .. 'replaying', 0, replay)
else
  call('ZREM', S .. 'replaying', replay)
  call('ZADD', FINISHED, now, replay)
end
return { 0, call('HINCRBY', key, 'n', added), call('HINCRBY', key, 'f', failed) }
