-- settle: what came of leases, in order.
-- ARGV: 1 now (ms) · 2–6 the breaker's settings: failures, percent, least attempts, open for (ms), at most (ms)
--       7 attempts kept · then settlements of (delivery, token, verdict, moment, signal, hold, started, duration,
--       attempt); verdict: `delivered`, `retry` at the moment, `dead:` and the reason, `returned`; signal: `+`, `-`,
--       or `~` for overload with a hold until (ms); the attempt is opaque, empty when none was made
-- A probe's lease is kept as its token and `?`. Answers {horizon, {1 recorded or 0 lease lost, …},
-- {{endpoint, `opened`, `closed` or `gone`, until}, …}}.
local now, kept, WIDTH = tonumber(ARGV[1]), tonumber(ARGV[7]), 9
local defaults = {}
for i = 1, 5 do defaults[i] = tonumber(ARGV[i + 1]) end
defaults.failures, defaults.percent, defaults.least, defaults.open, defaults.longest = unpack(defaults)

-- Endpoints met in this call: read once, written once. `false` for one that was deleted.
local met = {}
local function meet(endpoint)
  if met[endpoint] == nil then
    local read = call('HMGET', state_of(endpoint), 'max', 'flight', 'full', 'rules', 'tenant', unpack(VITALS))
    local s = read[1] and unpacked(unpack(read, 6, 11))
    if s then
      s.max, s.flight, s.full, s.was = tonumber(read[1]), tonumber(read[2] or 0), read[3], read
      s.rules, tenants[endpoint] = rules_of(defaults, read[4]), read[5]
    end
    met[endpoint] = s
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

-- A probe that was never made: the next one may go at once.
local function unprobe(s)
  if s.breaker == 'half_open' then s.breaker, s['until'], s.rejoin = 'open', now, true end
end

local function hear(endpoint, s, probe, i)
  local turn = record(s, {
    signal = ARGV[i + 4], hold = tonumber(ARGV[i + 5]), started = tonumber(ARGV[i + 6]),
    duration = tonumber(ARGV[i + 7]), probe = probe, in_flight = s.flight - s.landed + 1,
  }, s.rules, now, s.max)
  if turn then tell_of(endpoint, turn, turn == 'opened' and s['until'] or 0) end
  if turn == 'closed' then s.rejoin = true end
  if ARGV[i + 2] == 'dead:gone' then tell_of(endpoint, 'gone', 0) end
end

local landed = {}
local function settle(i)
  local delivery, token, verdict, attempt = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 8]
  local d = call('HMGET', P .. delivery, 't', 'p', 'due', 'a', 'e', 'b', 'l')
  local probe = d[1] == token .. '?'
  if not probe and d[1] ~= token then return 0 end
  local endpoint, attempts = d[2], tonumber(d[4] or 0)
  local s = meet(endpoint)
  landed[#landed + 1] = delivery
  if s then s.landed = s.landed + 1 end

  if attempt == '' then
    if s and probe then unprobe(s) end
  else
    attempts = attempts + 1
    if call('RPUSH', P .. 'try:' .. delivery, attempt) > kept then call('LPOP', P .. 'try:' .. delivery) end
    if s then hear(endpoint, s, probe, i) end
  end

  local again = verdict == 'returned' or verdict == 'retry'
  if again and s then
    local due = verdict == 'retry' and tonumber(ARGV[i + 3]) or tonumber(d[3])
    call('HSET', P .. delivery, 't', '', 'a', attempts, 'due', due, 'u', now)
    enqueue(endpoint, delivery, due, attempts > tonumber(d[6] or 0), now)
  else
    local status = again and 'dead:endpoint_deleted' or verdict
    finish(delivery, { endpoint = endpoint, event = d[5], line = d[7] }, status, now, { 'a', attempts })
  end
  return 1
end

-- Writes what changed of an endpoint. It may have its turn again if only its cap kept it out and there is room now.
local function part(endpoint, s)
  local flight, was = math.max(s.flight - s.landed, 0), s.was
  local changed = { 'flight', whole(flight), 'vitals', pack(s) }
  for i = 1, 5 do
    local field = VITALS[i]
    local value = i == 1 and s.breaker or whole(s[field])
    if value ~= (was[i + 5] or (i == 1 and 'closed' or '0')) then
      changed[#changed + 1], changed[#changed + 2] = field, value
    end
  end
  call('HSET', state_of(endpoint), unpack(changed))
  if s.full and flight < concurrency(s.max, s.cap) then
    call('HDEL', state_of(endpoint), 'full')
    s.rejoin = true
  end
  if s.rejoin then join(endpoint) end
  -- a failed probe: the next one need not wait until the lease of this one would have ended
  if s.breaker == 'open' and s['until'] ~= tonumber(was[7] or 0) then
    call('ZADD', WAIT, 'LT', s['until'], endpoint)
  end
end

local results = {}
for i = 8, #ARGV, WIDTH do results[#results + 1] = settle(i) end
each('ZREM', LEASES, landed)
for endpoint, s in pairs(met) do
  if s then part(endpoint, s) end
end
close()
return { horizon(), results, news }
