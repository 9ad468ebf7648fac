-- take: lease due deliveries to one worker, endpoints in turn, each within its cap, rate and breaker.
-- ARGV: 1 now (ms) · 2 room, at most 1000 · 3 grace (ms) · 4 token
--       5 most retries among an endpoint's leases while first attempts wait, percent
-- Answers {horizon, pending, {endpoint, …}, {event, head, payload, …}, {delivery, endpoint's number, event's number,
--         attempt, step, ends, …}}; numbers count from 1.
local now, room, grace, token = tonumber(ARGV[1]), math.min(tonumber(ARGV[2]), 1000), tonumber(ARGV[3]), ARGV[4]
local retries = tonumber(ARGV[5])
local SECOND = 1000000 -- microseconds: the limiter's unit, and its burst

local leases, events, endpoints, ended = {}, {}, {}, {}
local event_number = {}

-- Puts one delivery into the answer; one whose record is gone is dropped, it can never be sent.
local function lease(delivery, ends, probe)
  local d = call('HMGET', P .. delivery, 'e', 'a', 'b')
  if not d[1] then
    call('HINCRBY', SUMS, 'pending', -1)
    return false
  end
  if not event_number[d[1]] then
    local event = call('HMGET', P .. d[1], 'm', 'p')
    for _, part in ipairs({ d[1], event[1] or '', event[2] or '' }) do events[#events + 1] = part end
    event_number[d[1]] = #events / 3
  end
  ended[#ended + 1] = ends
  ended[#ended + 1] = delivery
  call('HSET', P .. delivery, 't', probe and token .. '?' or token)
  local made, before = d[2] or 0, d[3] or 0
  local parts = { delivery, #endpoints, event_number[d[1]], made + 1, made - before + 1, ends }
  for _, part in ipairs(parts) do leases[#leases + 1] = part end
  return true
end

-- The next one whose turn it is.
local function pop_turn()
  local first = call('ZPOPMIN', TURN)
  if first[2] then served = math.max(serial(), tonumber(first[2])) end
  return first[1]
end

-- How many attempts the limiter lets pass at once (GCRA with a second's worth of burst).
local function allowance(gap, tat)
  if gap == 0 then return math.huge end
  return math.floor((now * 1000 + SECOND - tat) / gap)
end

-- The first of an endpoint's queue, with one more than may be leased: it tells when the endpoint's next turn is.
local function head_of(endpoint, again, most)
  local rows = call('ZRANGE', queue_of(endpoint, again), 0, most, 'WITHSCORES')
  return { queue = queue_of(endpoint, again), rows = rows, taken = {} }
end

local function due_of(head) return tonumber(head.rows[2 * #head.taken + 2]) end

-- Takes at most `most` of what is due from both queues, in order of due time each; while both have some, retries
-- get their share of the turns. Answers the deliveries, when the next one is due, and what retries are owed.
local function pick(fresh, again, most, owed)
  local picked = {}
  while #picked < most do
    local first, second = due_of(fresh), due_of(again)
    local from = first and first <= now and fresh
    if second and second <= now then
      if from then owed = owed + retries end
      if not from or owed >= 100 then
        owed = from and owed - 100 or owed
        from = again
      end
    end
    if not from then break end
    local delivery = from.rows[2 * #from.taken + 1]
    from.taken[#from.taken + 1] = delivery
    picked[#picked + 1] = delivery
  end
  for _, head in ipairs({ fresh, again }) do
    if #head.taken > 0 then call('ZREM', head.queue, unpack(head.taken)) end
  end
  local first, second = due_of(fresh), due_of(again)
  return picked, first and second and math.min(first, second) or first or second, owed
end

-- Gives an endpoint its turn of at most `quota` leases. Answers how many it got; one that could take no more now
-- leaves the turn, for the moment when it can, or until a settle or a put brings it back.
local function serve(endpoint, quota)
  local state = state_of(endpoint)
  local s = call('HMGET', state, 'on', 'max', 'flight', 'timeout', 'gap', 'tat', 'breaker', 'until', 'json', 'cap',
    'hold', 'owed', 'tenant')
  if not s[9] or s[1] == '0' then return 0 end
  tenants[endpoint] = s[13]
  local max, flight, gap = concurrency(tonumber(s[2]), tonumber(s[10] or 0)), tonumber(s[3] or 0), tonumber(s[5])
  local probe = s[7] == 'open' or s[7] == 'half_open'
  local rest = math.max(probe and tonumber(s[8]) or 0, tonumber(s[11] or 0))
  if now < rest then
    call('ZADD', WAIT, rest, endpoint)
    return 0
  end
  if flight >= max then
    call('HSET', state, 'full', 1)
    return 0
  end
  local tat = math.max(tonumber(s[6] or 0), now * 1000)
  local free = allowance(gap, tat)
  local most = math.min(quota, max - flight, free, probe and 1 or math.huge)
  if most < 1 then
    call('ZADD', WAIT, math.ceil((tat + gap - SECOND) / 1000), endpoint)
    return 0
  end

  local ends, was_owed = now + tonumber(s[4]) + grace, tonumber(s[12] or 0)
  local due, next_due, owed = pick(head_of(endpoint, false, most), head_of(endpoint, true, most), most, was_owed)
  local leased = 0
  if owed ~= was_owed then call('HSET', state, 'owed', owed) end
  if #due > 0 then
    endpoints[#endpoints + 1] = s[9]
    for _, delivery in ipairs(due) do
      if lease(delivery, ends, probe) then leased = leased + 1 end
    end
  end
  if leased > 0 then
    call('HINCRBY', state, 'flight', leased)
    if gap > 0 then call('HSET', state, 'tat', tat + leased * gap) end
    if probe then call('HSET', state, 'breaker', 'half_open', 'until', ends) end
  end

  if probe and leased > 0 then
    call('ZADD', WAIT, ends, endpoint)
  elseif next_due and flight + leased >= max then
    call('HSET', state, 'full', 1)
  elseif next_due and next_due > now then
    call('ZADD', WAIT, next_due, endpoint)
  elseif next_due and leased >= free then
    call('ZADD', WAIT, math.ceil((tat + (leased + 1) * gap - SECOND) / 1000), endpoint)
  elseif next_due then
    join(endpoint)
  end
  return leased
end

reclaim(now, 128)
for _, endpoint in ipairs(call('ZRANGE', WAIT, '-inf', now, 'BYSCORE', 'LIMIT', 0, 256)) do
  call('ZREM', WAIT, endpoint)
  join(endpoint)
end

-- A script blocks everybody: it looks at a bounded number of endpoints, the horizon says that there is more. In one
-- round all have turns of the same length.
local looks, round, quota = 256, 0, 0
while room > 0 and looks > 0 do
  if round == 0 then
    round = call('ZCARD', TURN)
    if round == 0 then break end
    quota = math.max(1, math.floor(room / round))
  end
  local endpoint = pop_turn()
  if not endpoint then break end
  room = room - serve(endpoint, math.min(quota, room))
  looks, round = looks - 1, round - 1
end
if served then call('HSET', SUMS, 'serial', served) end

each('ZADD', LEASES, ended)
close()
return { horizon(), tonumber(call('HGET', SUMS, 'pending') or 0), endpoints, events, leases }
