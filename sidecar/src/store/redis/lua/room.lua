-- room: whether Redis would take an event. It refuses to begin a script that needs room when it has none, cannot
-- write its file, or may not write at all.
return 1
