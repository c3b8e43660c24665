-- sse.tail: lines that are appended to a file become events.

local core = require "sse.core"
local lines = require "sse.lines"
local log = require "sse.log"
local notes = require "sse.notes"
local options = require "sse.options"
local source = require "sse.source"

local M = {}

local POLL = 1 -- seconds between looks at what no notice tells of
local MARK = 32 -- bytes before the position by which a file that was written anew is known
local BLOCK = 65536 - MARK
local GONE = 60 -- seconds after which a file that was removed is closed

local RULES = {
  channel = { type = source.RULES.channel },
  parse = { type = source.RULES.parse },
  event = { type = "string" },
  from = { type = "string", values = { "start", "end" }, default = "end" },
}

local noted = notes.open "tail"

---@class sse.Tail: sse.Source
local Tail = setmetatable({}, { __index = source.class })

--- Where to begin in a file whose new lines alone count: at its end, or at its last line when that is not complete.
local function position_at_end(reader, size)
  local from = math.max(0, size - BLOCK)
  local bytes = reader:read(from, math.min(size, BLOCK)) or ""
  local last = bytes:find "\n[^\n]*$"
  if last then
    return from + last
  end
  return from == 0 and 0 or size, from > 0
end

local function first_position(self, reader, size, identity)
  local before = self.before
  local is_first = not self.looked
  if before and before.identity == identity and before.position <= size then
    return before.position
  elseif is_first and not before and self.from == "end" then
    return position_at_end(reader, size)
  end
  return 0
end

--- Tells of a problem once, until there is another.
local function tell(self, problem)
  if problem ~= self.problem then
    self.problem = problem
    if problem then
      self:fail(problem)
    end
  end
end

local function begin(self, reader, identity, position)
  self.reader, self.identity, self.position, self.gone_at = reader, identity, position, nil
  self.mark = position > 0 and reader:read(math.max(0, position - MARK), math.min(position, MARK)) or ""
  self.file_watch = core.watch(self.path, self.bell)
  self:parsed()
  log.debug(("%s: reads from byte %d"):format(self.title, position))
end

--- Opens the file if it is there.
local function open(self)
  local reader, problem, code = core.reader(self.path)
  if not reader then
    tell(self, code ~= "ENOENT" and problem or nil)
    self.looked, self.own.looked = true, true
    return false
  end
  tell(self, nil)
  local size, identity = reader:stat()
  local position, in_line = first_position(self, reader, size, identity)
  self.looked, self.own.looked, self.before = true, true, nil
  begin(self, reader, identity, position)
  if in_line then
    self.lines:skip()
  end
  return true
end

local function close(self)
  self.reader:close()
  if self.file_watch then
    self.file_watch:close()
  end
  self.reader, self.file_watch = nil, nil
end

--- How far lines have become events; for the script that takes over.
function Tail:parsed()
  if self.unused() == "" then
    self.own.identity, self.own.position = self.identity, self.position - self.lines:pending()
  end
end

local function take_lines(self)
  local line = self.lines:next()
  while line ~= nil and not self.stopped do
    self:take_or_tell(line)
    line = self.lines:next()
  end
end

--- What has no line end will not get one any more.
local function finish_line(self)
  local rest = self.lines:rest()
  if rest ~= "" then
    self:take(rest)
  end
end

--- Reads the next bytes; "" at the end. A file that is shorter than it was, or other than it was before the position,
--- was written anew and is read from its start.
local function read(self)
  local mark = self.mark
  local bytes, problem = self.reader:read(self.position - #mark, #mark + BLOCK)
  if not bytes then
    tell(self, problem)
    return ""
  elseif bytes:sub(1, #mark) ~= mark then
    finish_line(self)
    self.position, self.mark = 0, ""
    return read(self)
  end
  local fresh = bytes:sub(#mark + 1)
  self.position = self.position + #fresh
  self.mark = bytes:sub(-MARK)
  return fresh
end

local function read_all(self)
  take_lines(self)
  while not self.stopped do
    local fresh = read(self)
    if fresh == "" then
      return
    end
    self.lines:feed(fresh)
    take_lines(self)
  end
end

--- Whether another file is at the path that has something in it. An empty one does not count yet: its writer may still
--- write to the old one.
local function is_replaced(self)
  local kind, size, identity = core.stat(self.path)
  if kind then
    self.gone_at = nil
    return kind == "file" and identity ~= self.identity and size > 0
  end
  self.gone_at = self.gone_at or core.monotonic()
  return core.monotonic() - self.gone_at > GONE
end

--- Watches the file's folder, also one that came in the place of another.
local function watch_folder(self)
  local _, _, identity = core.stat(self.folder)
  if self.folder_watch and identity == self.folder_identity then
    return
  elseif self.folder_watch then
    self.folder_watch:close()
  end
  self.folder_identity = identity
  self.folder_watch = core.watch(self.folder, self.bell, self.name)
end

local function look(self)
  watch_folder(self)
  while self.reader or open(self) do
    read_all(self)
    if self.stopped or not is_replaced(self) then
      return
    end
    -- What came between the last read and the look.
    read_all(self)
    finish_line(self)
    close(self)
  end
end

local function follow(self)
  while not self.stopped do
    look(self)
    self.bell:wait(POLL)
  end
  if self.reader then
    close(self)
  end
  if self.folder_watch then
    self.folder_watch:close()
  end
  noted:drop(self.own)
end

--- Goes on where the same tail of the script before was. Another reload may come before the file is open.
local function go_on(self, path)
  local own, before = noted:take(path)
  if before and before.looked then
    own.looked, own.identity, own.position = true, before.identity, before.position
    self.before = before
  end
  self.own = own
end

--- Publishes each line that is appended to a file, through rotation, truncation and removal; or calls a function with
--- it. A relative path begins at the script's folder; the file need not be there yet.
---@param path string
---@param given sse.TailOptions|fun(line: string)
---@return { stop: fun(self) }
function M.tail(path, given)
  options.argument("sse.tail", 1, "path", path, "string")
  if type(given) == "function" then
    local fn = given
    given = {
      parse = function(line)
        fn(line)
      end,
    }
  end
  local checked = options.check("sse.tail", given, RULES)
  source.check_target("sse.tail", checked)
  local full = source.path(path)
  local self = source.new("sse.tail", "tail " .. full:match "[^/]*$", checked, { __index = Tail })
  self.path, self.from, self.lines, self.finishes = full, checked.from, lines.new(), true
  self.folder, self.name = full:match "^(.*/)([^/]*)$"
  go_on(self, full)
  self:start(follow)
  return source.handle(self)
end

return M
