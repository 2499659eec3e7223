"""What runs inside Redis, each all or nothing, with nothing between.

The fence is a hash: of which cluster the rows are, in which form, the epoch of the scheduler that may write, an id of
its process (its holder), and the number of the last commit. The holder counts beside the epoch, as a Redis that has
lost the last of what it said (a replica that was promoted) gives the same number again to another one. The numbers of
commits rise with each try: what arrives late, from a connection that was given up, has too low a number and changes
nothing.
"""

FORMAT = 1
FENCE = "{cluster}:fence"
ROWS, NEW = "{cluster}:rows:", "{cluster}:new:"  # and a table: a hash of its rows by their keys

LOG = "{cluster}:log"  # a hash: what each of the last commits has changed, by its number (see log.py)
LOGGED = 5000  # commits: a copy that is further behind reads all

MOVED = "moved"  # in the fence: all rows were brought to SQLite, and count there

LEAD, SCHEDULERS = "{cluster}:lead", "{cluster}:schedulers"  # who leads; what each at its address has said last

# KEYS: the fence, the lead. ARGV: the epoch that is there, the cluster, the schema, the term in which the caller leads
# (0: nobody is asked who leads), the caller.
# The next epoch is the caller's, unless somebody else has begun one, or leads. Also where Redis is full: it is a few
# bytes.
CLAIM = f"""#!lua flags=allow-oom
if ARGV[4] ~= '0' then
  local lead = redis.call('HMGET', KEYS[2], 'term', 'holder')
  if lead[1] ~= ARGV[4] or lead[2] ~= ARGV[5] then return 'taken' end
end
if (redis.call('HGET', KEYS[1], 'epoch') or '0') ~= ARGV[1] then return 'changed' end
redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'cluster', ARGV[2], 'schema', ARGV[3], 'holder', ARGV[5], 'format', '{FORMAT}')
return 'claimed'
"""

# KEYS: the fence, the log, the tables' hashes. ARGV: epoch, number of this commit, number of the last one that is known
# to have been done, the caller; then for each table: how many words to set (keys and rows in turn), how many to remove,
# and these.
COMMIT = f"""#!lua
local fence = redis.call('HMGET', KEYS[1], 'epoch', 'commit', 'holder')
local epoch, commit = tonumber(fence[1] or '0'), tonumber(fence[2] or '0')
if epoch > tonumber(ARGV[1]) or (epoch == tonumber(ARGV[1]) and fence[3] ~= ARGV[4]) then return 'fenced' end
if epoch < tonumber(ARGV[1]) or commit < tonumber(ARGV[3]) then return 'lost' end
if commit >= tonumber(ARGV[2]) then return 'late' end
local at, most = 5, 1000
local function each(command, key, count)
  local last = at + count - 1
  while at <= last do
    local stop = math.min(last, at + most - 1)
    redis.call(command, key, unpack(ARGV, at, stop))
    at = stop + 1
  end
end
local lines = {{commit .. ' ' .. ARGV[1] .. ' ' .. ARGV[4]}}
local function note(first, count, step)
  for place = first, first + count - 1, step do lines[#lines + 1] = ARGV[place] end
end
for place = 3, #KEYS do
  local set, removed = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  lines[#lines + 1] = KEYS[place]
  note(at, set, 2)
  note(at + set, removed, 1)
  each('HSET', KEYS[place], set)
  each('HDEL', KEYS[place], removed)
end
redis.call('HSET', KEYS[2], ARGV[2], table.concat(lines, string.char(10)))
for old = commit + 1 - {LOGGED}, ARGV[2] - {LOGGED} do redis.call('HDEL', KEYS[2], old) end
redis.call('HSET', KEYS[1], 'commit', ARGV[2])
return 'done'
"""

# KEYS: the fence, then the hash that becomes another, and that other, in turn. ARGV: the epoch that is expected there
# (empty: no fence at all), then the fence's fields and values.
REPLACE = """#!lua
local epoch = redis.call('HGET', KEYS[1], 'epoch') or ''
if epoch ~= ARGV[1] then return 'changed' end
for place = 2, #KEYS, 2 do
  redis.call('DEL', KEYS[place + 1])
  if redis.call('EXISTS', KEYS[place]) == 1 then redis.call('RENAME', KEYS[place], KEYS[place + 1]) end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 2))
return 'done'
"""

# KEYS: the lead, the schedulers. ARGV: a wish, who has it, the term and the beat that it expects, its lease, its
# address, what it says of itself there (empty: it leaves), then addresses that leave the list. Returns whether the wish
# was done, the lead, and the list.
ASK = """#!lua flags=allow-oom
local fields = redis.call('HMGET', KEYS[1], 'term', 'beat', 'holder', 'lease', 'address')
local term, beat = tonumber(fields[1] or '0'), tonumber(fields[2] or '0')
local holder, lease, address = fields[3] or '', fields[4] or '0', fields[5] or ''
local is_as_seen = term == tonumber(ARGV[3]) and beat == tonumber(ARGV[4])
local is_ours = term == tonumber(ARGV[3]) and holder == ARGV[2]
local done = 0
if ARGV[1] == 'seize' or (ARGV[1] == 'take' and is_as_seen) then
  term, beat, holder, lease, address, done = term + 1, 1, ARGV[2], ARGV[5], ARGV[6], 1
elseif ARGV[1] == 'keep' and is_ours then
  beat, done = beat + 1, 1
elseif ARGV[1] == 'leave' and is_ours then
  beat, holder, done = beat + 1, '', 1
end
if done == 1 then
  redis.call('HSET', KEYS[1], 'term', term, 'beat', beat, 'holder', holder, 'lease', lease, 'address', address)
end
if ARGV[7] == '' then
  redis.call('HDEL', KEYS[2], ARGV[6])
else
  redis.call('HSET', KEYS[2], ARGV[6], ARGV[7])
end
for place = 8, #ARGV do redis.call('HDEL', KEYS[2], ARGV[place]) end
return {done, term, beat, holder, lease, address, redis.call('HGETALL', KEYS[2])}
"""

# ARGV: a key. Returns the commands that the user may not run on it.
MISSING = """#!lua flags=no-writes
local missing = {}
local wanted = {
  {'hget', ARGV[1], 'x'}, {'hmget', ARGV[1], 'x'}, {'hgetall', ARGV[1]}, {'hscan', ARGV[1], '0'}, {'hlen', ARGV[1]},
  {'hset', ARGV[1], 'x', 'y'}, {'hdel', ARGV[1], 'x'}, {'hincrby', ARGV[1], 'x', '1'},
  {'del', ARGV[1]}, {'exists', ARGV[1]}, {'rename', ARGV[1], ARGV[1]}
}
for _, command in ipairs(wanted) do
  if not redis.acl_check_cmd(unpack(command)) then table.insert(missing, command[1]) end
end
return missing
"""
