-- settle: what came of leases, in order.
-- ARGV: 1 now (ms) · 2 failures that open a breaker · 3 open for (ms) · 4 attempts kept · then settlements of
--       (delivery, token, verdict, moment, attempt); verdict: `delivered`, `retry` at the moment, `dead:` and the
--       reason, `returned`; the attempt is opaque, its first letter `+` for a success, `-` for a failure
-- A probe's lease is kept as its token and `?`. Answers {horizon, {1 recorded or 0 lease lost, …},
-- {{endpoint, `opened`, `closed` or `gone`, until}, …}}.
local now, failures, open_ms, kept = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

-- Endpoints met in this call: read once, written once. `false` for one that was deleted.
local met = {}
local function meet(endpoint)
  if met[endpoint] == nil then
    local s = call('HMGET', state_of(endpoint), 'breaker', 'until', 'failures', 'json')
    met[endpoint] = s[4]
      and { breaker = s[1] or 'closed', ['until'] = tonumber(s[2] or 0), failures = tonumber(s[3] or 0), landed = 0 }
  end
  return met[endpoint]
end

-- How endpoints turned, each turn told once.
local news, told = {}, {}
local function tell_of(endpoint, turn, moment)
  local line = endpoint .. ' ' .. turn .. moment
  if not told[line] then news[#news + 1] = { endpoint, turn, moment } end
  told[line] = true
end

local function open(s)
  s.breaker, s['until'], s.failures, s.moved = 'open', now + open_ms, 0, true
end

-- The breaker after a result. While it is not closed only a probe's own result moves it: a straggler began before
-- the opening and says nothing about now.
local function record(endpoint, s, success, probe)
  if s.breaker == 'closed' then
    if success and s.failures == 0 then return end
    s.failures, s.moved = success and 0 or s.failures + 1, true
    if s.failures >= failures then open(s) end
  elseif s.breaker == 'half_open' and probe then
    open(s)
    if success then s.breaker, s['until'], s.rejoin = 'closed', 0, true end
    if success then tell_of(endpoint, 'closed', 0) end
  else
    return
  end
  if s.breaker == 'open' then tell_of(endpoint, 'opened', s['until']) end
end

-- A probe that was never made: the next one may go at once.
local function unprobe(s)
  if s.breaker == 'half_open' then s.breaker, s['until'], s.moved, s.rejoin = 'open', now, true, true end
end

local landed = {}

local function settle(delivery, token, verdict, moment, attempt)
  local d = call('HMGET', P .. delivery, 't', 'p', 'due', 'a', 'e')
  local probe = d[1] == token .. '?'
  if not probe and d[1] ~= token then return 0 end
  local endpoint, attempts = d[2], tonumber(d[4])
  local s = meet(endpoint)
  landed[#landed + 1] = delivery
  if s then s.landed = s.landed + 1 end

  if verdict == 'returned' then
    if s and probe then unprobe(s) end
  else
    attempts = attempts + 1
    if call('RPUSH', P .. 'try:' .. delivery, string.sub(attempt, 2)) > kept then
      call('LPOP', P .. 'try:' .. delivery)
    end
    if s then record(endpoint, s, string.sub(attempt, 1, 1) == '+', probe) end
    if s and verdict == 'dead:gone' then tell_of(endpoint, 'gone', 0) end
  end

  local again = verdict == 'returned' or verdict == 'retry'
  if again and s then
    local due = verdict == 'retry' and tonumber(moment) or tonumber(d[3])
    call('HSET', P .. delivery, 't', '', 'a', attempts, 'due', due, 'u', now)
    enqueue(endpoint, delivery, due, now)
  else
    finish(delivery, d[5], again and 'dead:endpoint_deleted' or verdict, now, { 'a', attempts })
  end
  return 1
end

local results = {}
for i = 5, #ARGV, 5 do
  results[#results + 1] = settle(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
end
each('ZREM', LEASES, landed)
write_ends()
for endpoint, s in pairs(met) do
  if s then
    if s.moved then
      call('HSET', state_of(endpoint), 'breaker', s.breaker, 'until', s['until'], 'failures', s.failures)
    end
    land(endpoint, s.landed)
    if s.rejoin then join(endpoint) end
    -- a failed probe: the next one need not wait until the lease of this one would have ended
    if s.moved and s.breaker == 'open' then call('ZADD', WAIT, 'LT', s['until'], endpoint) end
  end
end
return { horizon(), results, news }
