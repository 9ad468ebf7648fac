-- accept: events with their keys and deliveries, all or nothing. What could be leased in this moment is, if somebody
-- here waits for work.
-- ARGV: now · room for deliveries · key window (ms) · channel, empty when nobody listens · origin · shard
--       most leases · grace (ms) · token · tenants, each (name, registry version) · offers, each
--       (event, tenant, head, payload, due, end or empty, keys…, deliveries… as (delivery, endpoint, line or empty)); every
--       list after its length
-- Answers {0, pending, {event, deliveries, duplicate, …}, {delivery's number, ends, …}}, the number counted from 1 over
-- all offers · {1, tenant} when its registry moved on · {2} when full.
local at = 0
local function arg() at = at + 1; return ARGV[at] end
local function list(width)
  local items = {}
  for i = 1, tonumber(arg()) * width do items[i] = arg() end
  return items
end

local now, room, window = tonumber(arg()), tonumber(arg()), tonumber(arg())
local channel, origin, shard = arg(), arg(), arg()
local vacant, grace, token = tonumber(arg()), tonumber(arg()), arg()

local known_as = list(2)
for i = 1, #known_as, 2 do
  if (call('HGET', S .. 'tenant:' .. known_as[i], '@') or '') ~= known_as[i + 1] then return { 1, known_as[i] } end
end

-- What a key is already known for, from this batch or from before.
local seen = {}
local function known(keys)
  for _, key in ipairs(keys) do
    if seen[key] then return seen[key] end
    local value = call('GET', key)
    if value then
      local ends, event, deliveries = string.match(value, '^(%S+) (%S+) (%S+)$')
      if tonumber(ends) > now then return { event, tonumber(deliveries) } end
    end
  end
end

local leases, leased = {}, {}
local function lease(delivery, number, ends)
  leases[#leases + 1], leases[#leases + 2] = number, ends
  leased[#leased + 1], leased[#leased + 2] = ends, delivery
  vacant = vacant - 1
end

-- The same event once more is the same call once more: its first answer was lost on the way, and what it leased with it.
local function repeated(offer)
  local count = call('HGET', P .. offer.event, 'n')
  for i = 1, count and token ~= '' and #offer.deliveries or 0, 3 do
    local delivery = offer.deliveries[i]
    if call('HGET', P .. delivery, 't') == token then
      lease(delivery, offer.number + (i + 2) / 3, call('ZSCORE', LEASES, delivery))
    end
  end
  return count and { offer.event, tonumber(count) }
end

local answers, fresh, added = {}, {}, 0
local function answer(event, deliveries, duplicate)
  answers[#answers + 1] = event
  answers[#answers + 1] = deliveries
  answers[#answers + 1] = duplicate
end

local offers, events, number = {}, {}, 0
for i = 1, tonumber(arg()) do
  local offer = { event = arg(), tenant = arg(), head = arg(), payload = arg(), due = arg(), ends = arg() }
  offer.keys, offer.deliveries = list(1), list(3)
  offer.number, offer.count = number, #offer.deliveries / 3
  number = number + offer.count
  for k, key in ipairs(offer.keys) do offer.keys[k] = P .. 'key:' .. offer.tenant .. ':' .. key end
  offers[i], events[i] = offer, P .. offer.event
end

-- How many of these keys exist.
local function existing(keys)
  local count = 0
  for first = 1, #keys, 1000 do count = count + call('EXISTS', unpack(keys, first, math.min(first + 999, #keys))) end
  return count
end

local again = existing(events) > 0
for _, offer in ipairs(offers) do
  local first = again and repeated(offer) or known(offer.keys)
  if first then
    answer(first[1], first[2], 1)
  else
    for _, key in ipairs(offer.keys) do seen[key] = { offer.event, offer.count } end
    fresh[#fresh + 1] = offer
    added = added + offer.count
    answer(offer.event, offer.count, 0)
  end
end

local sums = call('HMGET', SUMS, 'pending', 'serial')
local pending = tonumber(sums[1] or 0) + added
served = tonumber(sums[2] or 0)
if added > 0 and pending > room then return { 2 } end

-- While no endpoint stands in the turn, nobody is overtaken by one for which nothing waits, and that may be tried.
local free = vacant > 0 and added > 0 and call('ZCARD', TURN) == 0
local hosts = {}
local function host_of(endpoint)
  if hosts[endpoint] == nil then
    local s = call('HMGET', state_of(endpoint), 'on', 'max', 'flight', 'timeout', 'gap', 'breaker', 'cap', 'hold')
    local ready = s[1] == '1' and s[5] == '0' and (s[6] or 'closed') == 'closed' and tonumber(s[8] or 0) <= now
    local flight = tonumber(s[3] or 0)
    hosts[endpoint] = ready and call('EXISTS', queue_of(endpoint), queue_of(endpoint, true)) == 0
      and { places = concurrency(tonumber(s[2]), tonumber(s[7] or 0)) - flight, flight = flight,
        ends = whole(now + tonumber(s[4]) + grace) }
  end
  return hosts[endpoint]
end

-- When the lease of a delivery ends that is made at once; nothing when it has to wait.
local function seat(endpoint, due)
  if not free or vacant < 1 or due > now then return end
  local host = host_of(endpoint)
  if not host or host.places < 1 then return end
  host.places, host.flight = host.places - 1, host.flight + 1
  return host.ends
end

-- What comes into the queues, by endpoint.
local queued = {}
local function queue(endpoint, delivery, due)
  local rows = queued[endpoint] or {}
  rows[#rows + 1], rows[#rows + 2] = due, delivery
  queued[endpoint] = rows
end

-- Gives an endpoint its turn, or a moment to wait for; once for each that is nearer than the last.
local ahead, news = {}, false
local function announce(endpoint, due)
  if ahead[endpoint] and ahead[endpoint] <= due then return end
  ahead[endpoint] = due
  if due <= now then
    free = false
    news = join(endpoint) or news
  else
    news = call('ZADD', WAIT, 'LT', 'CH', due, endpoint) == 1 or news
  end
end

local noted = {}
for _, offer in ipairs(fresh) do
  local ids = {}
  for i = 1, #offer.deliveries, 3 do
    local delivery, endpoint, line = offer.deliveries[i], offer.deliveries[i + 1], offer.deliveries[i + 2]
    ids[#ids + 1] = delivery
    local first = line == '' or stand(endpoint, line, delivery)
    local ends = first and seat(endpoint, tonumber(offer.due))
    local row = { 'e', offer.event, 'p', endpoint, 's', 'pending', 'due', offer.due }
    if ends then row[9], row[10] = 't', token end
    if line ~= '' then row[#row + 1], row[#row + 2] = 'l', line end
    call('HSET', P .. delivery, unpack(row))
    if ends then
      lease(delivery, offer.number + (i + 2) / 3, ends)
    elseif first then
      queue(endpoint, delivery, offer.due)
      tenants[endpoint] = offer.tenant
      announce(endpoint, tonumber(offer.due))
    end
  end
  call('HSET', P .. offer.event, 't', offer.tenant, 'm', offer.head, 'p', offer.payload, 'd', table.concat(ids, ' '),
    'n', whole(offer.count), 'k', whole(offer.count))
  noted[#noted + 1], noted[#noted + 2] = '0', offer.event
  if offer.count == 0 then
    call('ZADD', FINISHED, NOW, offer.event)
  elseif offer.ends ~= '' then
    call('ZADD', EXPIRING, offer.ends, offer.event)
  end
  local value = whole(now + window) .. ' ' .. offer.event .. ' ' .. offer.count
  -- Redis only collects the garbage, a minute late: whether a key is known is decided by the caller's clock.
  for _, key in ipairs(offer.keys) do call('SET', key, value, 'PX', whole(window + 60000)) end
end
if added > 0 then call('HINCRBY', SUMS, 'pending', added) end
for endpoint, host in pairs(hosts) do
  if host then call('HSET', state_of(endpoint), 'flight', host.flight) end
end
for endpoint, rows in pairs(queued) do each('ZADD', queue_of(endpoint), rows) end
each('ZADD', EVENTS, noted)
each('ZADD', LEASES, leased)
close()
if news and channel ~= '' then tell(channel, origin, shard) end
return { 0, pending, answers, leases }
