-- vitals: how an endpoint does, and what may be tried there. Decides as `store/vitals` does, number by number.
-- All fields are numbers, 0 while unknown, but `breaker` (closed, open, half_open):
--   until when an open breaker may be probed · failures in a row · openings since it last did well for long
--   since it closed (what began earlier counts for nothing) · window when the present one began · good, bad in it
--   good0, bad0 in the one before · cap in thousandths, 0 for the endpoint's own · knee below which it doubles
--   cut when it last was · peak of attempts under way in the present round trip, which began at round · hold until when it asked to be left alone · short, long average durations (1/8, 1/64 ms)
-- The first few are fields of the endpoint's state, for others read them too. The rest is one field, `vitals`, packed as
-- doubles: reading and writing them as text, field by field, cost a seventh of Redis' time where every delivery is for
-- another endpoint.
local VITALS = { 'breaker', 'until', 'openings', 'cap', 'hold', 'vitals' }
local PACKED = '<' .. string.rep('d', 13)
local NEW = struct.pack(PACKED, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

local function pack(s)
  return struct.pack(PACKED, s.failures, s.since, s.window, s.good, s.bad, s.good0, s.bad0, s.knee, s.cut, s.peak,
    s.round, s.short, s.long)
end

-- All of them, from what was read of VITALS, in that order.
local function unpacked(breaker, until_, openings, cap, hold, packed)
  local failures, since, window, good, bad, good0, bad0, knee, cut, peak, round, short, long =
    struct.unpack(PACKED, packed or NEW)
  return {
    breaker = breaker or 'closed', ['until'] = tonumber(until_ or 0), openings = tonumber(openings or 0),
    cap = tonumber(cap or 0), hold = tonumber(hold or 0), failures = failures, since = since, window = window,
    good = good, bad = bad, good0 = good0, bad0 = bad0, knee = knee, cut = cut, peak = peak, round = round,
    short = short, long = long,
    -- what belongs to it besides, while it is worked on
    max = 0, flight = 0, full = false, rules = false, landed = 0, rejoin = false, was = false,
  }
end

local WINDOW, ONE, OVERLOADED, SLOW, SLACK = 15000, 1000, 4, 6, 50

-- The settings, but for what the endpoint wants otherwise: `rules` is what put wrote, `-` where it wants nothing.
local function rules_of(defaults, rules)
  if not rules or rules == '' then return defaults end
  local own, at = {}, 0
  for word in string.gmatch(rules, '%S+') do
    at = at + 1
    own[at] = tonumber(word) or defaults[at]
  end
  return { failures = own[1], percent = own[2], least = own[3], open = own[4], longest = own[5] }
end

local function count(s, success, now)
  local age = now - s.window
  if age >= 2 * WINDOW then
    s.window, s.good, s.bad, s.good0, s.bad0 = now, 0, 0, 0, 0
  elseif age >= WINDOW then
    s.window, s.good, s.bad, s.good0, s.bad0 = s.window + WINDOW, 0, 0, s.good, s.bad
  end
  if success then s.good = s.good + 1 else s.bad = s.bad + 1 end
end

local function often(s, rules)
  local bad = s.bad + s.bad0
  local all = bad + s.good + s.good0
  return rules.percent > 0 and all >= rules.least and bad * 100 >= all * rules.percent
end

local function open(s, rules, now)
  s.breaker = 'open'
  s['until'] = now + math.min(rules.open * 2 ^ s.openings, math.max(rules.longest, rules.open))
  s.openings = math.min(s.openings + 1, 32)
  return 'opened'
end

-- The breaker after a result. While it is not closed only a probe's own result moves it. Answers how it turned.
local function judge(s, heard, rules, now)
  local success = heard.signal == '+'
  if s.breaker == 'closed' and heard.started >= s.since then
    count(s, success, now)
    s.failures = success and 0 or s.failures + 1
    if success or (s.failures < rules.failures and not often(s, rules)) then return end
    if math.max(now - s.since, 0) >= rules.longest then s.openings = 0 end
    return open(s, rules, now)
  elseif s.breaker == 'half_open' and heard.probe then
    if not success then return open(s, rules, now) end
    s.breaker, s['until'], s.since, s.failures = 'closed', 0, now, 0
    s.window, s.good, s.bad, s.good0, s.bad0 = 0, 0, 0, 0, 0
    return 'closed'
  end
end

-- Averages of the durations of successes. Answers whether they are clearly longer than they use to be.
local function slowed(s, duration)
  if s.long == 0 then
    s.short, s.long = duration * 8, duration * 64
  else
    s.short = s.short - math.floor(s.short / 8) + duration
    s.long = s.long - math.floor(s.long / 64) + duration
  end
  return math.floor(s.short / 8) > 2 * math.floor(s.long / 64) + SLACK
end

local function cut(s, eighths, now, max)
  local present = s.cap == 0 and max * ONE or math.min(s.cap, max * ONE)
  s.cap = math.max(math.floor(present / 8) * eighths, ONE)
  s.knee, s.cut = s.cap, now
end

local function grow(s, max)
  if s.cap == 0 or s.peak * 2 < math.floor(s.cap / ONE) then return end
  local doubling = s.knee == 0 or s.cap < s.knee
  s.cap = s.cap + (doubling and ONE or math.max(math.floor(ONE * ONE / s.cap), 1))
  if s.cap >= max * ONE then s.cap, s.knee = 0, 0 end
end

local function throttle(s, heard, now, max)
  local slow = heard.signal == '+' and slowed(s, heard.duration)
  -- what began after this round trip did begins the next one
  if heard.started > s.round then
    s.round, s.peak = now, heard.in_flight
  else
    s.peak = math.max(s.peak, heard.in_flight)
  end
  if heard.started < s.cut then return end
  if heard.signal == '~' then
    cut(s, OVERLOADED, now, max)
  elseif slow then
    cut(s, SLOW, now, max)
  elseif heard.signal == '+' then
    grow(s, max)
  end
end

-- Takes in what came back from an attempt: `heard` has signal (`+`, `-`, or `~` for overload), hold, probe, started,
-- duration, in_flight. Answers `opened` or `closed` when the breaker turned.
local function record(s, heard, rules, now, max)
  if heard.signal == '~' then s.hold = math.max(s.hold, heard.hold) end
  local turn = judge(s, heard, rules, now)
  if turn == 'closed' then
    s.cap, s.knee, s.cut = ONE, 0, now
  else
    throttle(s, heard, now, max)
  end
  return turn
end
