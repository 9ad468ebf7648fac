-- purge: dead letters are forgotten by hand.
-- ARGV: deliveries; those that are no dead letters are left alone.
-- Answers how many were forgotten.
local purged = 0
for _, delivery in ipairs(ARGV) do
  if string.sub(call('HGET', P .. delivery, 's') or '', 1, 5) == 'dead:' then
    call('ZREM', FINISHED, delivery)
    forget_delivery(delivery)
    purged = purged + 1
  end
end
return purged
