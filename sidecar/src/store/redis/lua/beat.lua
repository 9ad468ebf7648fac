-- beat: a process says that it lives. By Redis' own clock, so that processes need not agree on the time.
-- KEYS 1 the owners' sorted set, by their last beat   ARGV: 1 owner · 2 silent for (ms) · 3 channel
-- Answers {owners, {owner, last beat, …}}: how many there are, and those that have been silent for that long.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('ZADD', KEYS[1], now, ARGV[1]) == 1 then redis.call('PUBLISH', ARGV[3], ARGV[1]) end
local silent = redis.call('ZRANGE', KEYS[1], '-inf', now - tonumber(ARGV[2]), 'BYSCORE', 'LIMIT', 0, 64, 'WITHSCORES')
return { redis.call('ZCARD', KEYS[1]), silent }
