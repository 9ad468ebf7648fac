-- evict: the leases of a process that is gone go back.
-- ARGV: 1 now (ms) · 2 owner
-- Answers {horizon, leases}.
local now, owner = tonumber(ARGV[1]), ARGV[2] .. '.'
local evicted = 0
for _, delivery in ipairs(call('ZRANGE', LEASES, 0, -1)) do
  local token = call('HGET', P .. delivery, 't') or ''
  if string.sub(token, 1, #owner) == owner then
    give_back(delivery, now)
    evicted = evicted + 1
  end
end
write_ends()
return { horizon(), evicted }
