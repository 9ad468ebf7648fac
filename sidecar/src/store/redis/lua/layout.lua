-- layout: says how the data is laid out, where nobody did yet.
-- KEYS 1 the layout's hash   ARGV: 1 schema · 2 shards · 3 epoch, which names this data as long as it is there
-- Answers {schema, shards, epoch} as they are.
for i, field in ipairs({ 'schema', 'shards', 'epoch' }) do call('HSETNX', KEYS[1], field, ARGV[i]) end
return call('HMGET', KEYS[1], 'schema', 'shards', 'epoch')
