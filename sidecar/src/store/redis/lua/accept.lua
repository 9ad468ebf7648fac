-- accept: events with their keys and deliveries, all or nothing.
-- ARGV: now · room for deliveries · key window (ms) · channel, empty when nobody listens · origin · shard
--       tenants, each (name, registry version) · offers, each
--       (event, tenant, head, payload, due, end or empty, keys…, deliveries… as (delivery, endpoint)); every list after its length
-- Answers {0, pending, {event, deliveries, duplicate, …}} · {1, tenant} when its registry moved on · {2} when full.
local at = 0
local function arg() at = at + 1; return ARGV[at] end
local function list(width)
  local items = {}
  for i = 1, tonumber(arg()) * width do items[i] = arg() end
  return items
end

local now, room, window = tonumber(arg()), tonumber(arg()), tonumber(arg())
local channel, origin, shard = arg(), arg(), arg()

local tenants = list(2)
for i = 1, #tenants, 2 do
  if (call('HGET', P .. 'tenant:' .. tenants[i], '@') or '') ~= tenants[i + 1] then return { 1, tenants[i] } end
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

local answers, fresh, added = {}, {}, 0
local function answer(event, deliveries, duplicate)
  answers[#answers + 1] = event
  answers[#answers + 1] = deliveries
  answers[#answers + 1] = duplicate
end

for _ = 1, tonumber(arg()) do
  local offer = { event = arg(), tenant = arg(), head = arg(), payload = arg(), due = arg(), ends = arg() }
  offer.keys, offer.deliveries = list(1), list(2)
  for i, key in ipairs(offer.keys) do offer.keys[i] = P .. 'key:' .. offer.tenant .. ':' .. key end
  -- The same event once more is the same call once more: its first answer was lost on the way.
  local again = call('HGET', P .. offer.event, 'n')
  local first = again and { offer.event, tonumber(again) } or known(offer.keys)
  if first then
    answer(first[1], first[2], 1)
  else
    offer.count = #offer.deliveries / 2
    for _, key in ipairs(offer.keys) do seen[key] = { offer.event, offer.count } end
    fresh[#fresh + 1] = offer
    added = added + offer.count
    answer(offer.event, offer.count, 0)
  end
end

local pending = tonumber(call('HGET', SUMS, 'pending') or 0) + added
if added > 0 and pending > room then return { 2 } end

-- Gives an endpoint its turn, or a moment to wait for; once for each that is nearer than the last.
local ahead, news = {}, false
local function announce(endpoint, due)
  if ahead[endpoint] and ahead[endpoint] <= due then return end
  ahead[endpoint] = due
  if due <= now then
    news = join(endpoint) or news
  else
    news = call('ZADD', WAIT, 'LT', 'CH', due, endpoint) == 1 or news
  end
end

for _, offer in ipairs(fresh) do
  local ids = {}
  for i = 1, #offer.deliveries, 2 do
    local delivery, endpoint = offer.deliveries[i], offer.deliveries[i + 1]
    ids[#ids + 1] = delivery
    call('HSET', P .. delivery, 'e', offer.event, 'p', endpoint, 's', 'pending', 'a', 0, 'b', 0, 'due', offer.due,
      'u', now)
    call('ZADD', queue_of(endpoint), offer.due, delivery)
    tenants[endpoint] = offer.tenant
    announce(endpoint, tonumber(offer.due))
  end
  call('HSET', P .. offer.event, 't', offer.tenant, 'm', offer.head, 'p', offer.payload, 'd', table.concat(ids, ' '),
    'n', offer.count, 'k', offer.count)
  call('ZADD', EVENTS, 0, offer.event)
  if offer.count == 0 then
    call('ZADD', FINISHED, now, offer.event)
  elseif offer.ends ~= '' then
    call('ZADD', EXPIRING, offer.ends, offer.event)
  end
  local value = whole(now + window) .. ' ' .. offer.event .. ' ' .. offer.count
  -- Redis only collects the garbage, a minute late: whether a key is known is decided by the caller's clock.
  for _, key in ipairs(offer.keys) do call('SET', key, value, 'PX', whole(window + 60000)) end
end
if added > 0 then call('HINCRBY', SUMS, 'pending', added) end
if news and channel ~= '' then tell(channel, origin, shard) end
return { 0, pending, answers }
