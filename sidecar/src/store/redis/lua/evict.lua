-- evict: leases that nobody will settle go back: all of a process, or those of one call.
-- ARGV: 1 now (ms) · then processes, or tokens as leases have them, without a probe's mark
-- Answers {horizon, leases}.
local now, whose, evicted = tonumber(ARGV[1]), {}, 0
for i = 2, #ARGV do whose[ARGV[i]] = true end
for _, delivery in ipairs(call('ZRANGE', LEASES, 0, -1)) do
  local token = string.match(call('HGET', P .. delivery, 't') or '', '^[^?]*')
  if whose[token] or whose[string.match(token, '^[^.]*')] then
    give_back(delivery, now)
    evicted = evicted + 1
  end
end
close()
return { horizon(), evicted }
