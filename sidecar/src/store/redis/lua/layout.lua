-- layout: says how the data is laid out, where nobody did yet.
-- KEYS 1 the layout's hash   ARGV: 1 schema · 2 shards · 3 epoch, which names this data as long as it is there
--       4 the shard's prefix, empty for what is no shard's
-- Answers {schema, shards, epoch} as they are.
local schema = ARGV[1]
-- The first schema wrote it for all shards together, and not in each.
if ARGV[4] ~= '' and redis.call('EXISTS', ARGV[4] .. 'sums', ARGV[4] .. 'endpoints') > 0 then schema = 1 end
redis.call('HSETNX', KEYS[1], 'schema', schema)
redis.call('HSETNX', KEYS[1], 'shards', ARGV[2])
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[3])
return redis.call('HMGET', KEYS[1], 'schema', 'shards', 'epoch')
