-- put: write an endpoint.
-- ARGV: 1 create | replace | upsert · 2 endpoint · 3 tenant · 4 JSON · 5 tried 1 or 0 · 6 most in flight
--       7 timeout (ms) · 8 least time between attempts (µs), 0 for no limit · 9 the registry's new version
--       10 channel · 11 origin · 12 shard · 13 its breaker's rules, `-` for each that it leaves to the settings
--       14 when a person last enabled it (ms)
-- Answers 1 written · 0 it was (not) there, or is another tenant's · 2 its predecessor is not yet buried.
local mode, endpoint, tenant = ARGV[1], ARGV[2], ARGV[3]
local state = state_of(endpoint)
local owner = call('HGET', state, 'tenant')
if (mode == 'create' and owner) or (mode == 'replace' and not owner) then return 0 end
if owner and owner ~= tenant then return 0 end
if call('SISMEMBER', GONE, endpoint) == 1 then return 2 end

call('HSET', state, 'tenant', tenant, 'json', ARGV[4], 'on', ARGV[5], 'max', ARGV[6], 'timeout', ARGV[7], 'gap', ARGV[8],
  'rules', ARGV[13])
tenants[endpoint] = tenant
call('HDEL', state, 'full')
-- Enabled anew, it has never failed.
if (call('HGET', state, 'anew') or '0') ~= ARGV[14] then
  call('HDEL', state, unpack(VITALS))
  call('HSET', state, 'anew', ARGV[14])
end
call('HSET', S .. 'tenant:' .. tenant, endpoint, ARGV[4], '@', ARGV[9])
call('ZADD', S .. 'endpoints', 0, endpoint)
if call('EXISTS', queue_of(endpoint), queue_of(endpoint, true)) > 0 then join(endpoint) end
close()
tell(ARGV[10], ARGV[11], ARGV[12], tenant)
return 1
