-- reseal: keep an endpoint in another form, if it is still kept in the one that was read. Nothing else changes, so the
-- registry's version stays.
-- ARGV: 1 endpoint · 2 the form that was read · 3 the new form
-- Answers 1 done · 0 somebody changed or deleted it meanwhile.
local state = state_of(ARGV[1])
local kept = call('HMGET', state, 'json', 'tenant')
if kept[1] ~= ARGV[2] then return 0 end
call('HSET', state, 'json', ARGV[3])
call('HSET', S .. 'tenant:' .. kept[2], ARGV[1], ARGV[3])
return 1
