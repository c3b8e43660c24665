-- What sources of events have in common: they run beside the handlers, publish what their lines say, and outlive
-- errors.

local core = require "sse.core"
local log = require "sse.log"
local options = require "sse.options"
local parsers = require "sse.parsers"

local M = {}

local SLICE = 0.01 -- seconds that a source may run before others have a turn
local FAILURES_TOLD = 10 -- in a row; then it tells once in QUIET seconds
local QUIET = 60
local LONGEST_RETRY = 10

local defined = setmetatable({}, { __mode = "k" }) -- { source = what it is }, for --check

---@class sse.Source
---@field title string what log lines call it
---@field stopped boolean
---@field current string? the line that is being parsed, or waits to be published
---@field finishes boolean? what it has begun with a line, also when the script is reloaded
local Source = {}
Source.__index = Source
M.class = Source

--- Rules for the options that make events of lines.
M.RULES = {}

function M.RULES.channel(value)
  if type(value) == "userdata" then
    return value
  elseif type(value) == "string" and #value >= 1 and #value <= 255 and not core.is_pattern(value) then
    return value
  end
  return nil, "must be a channel or its name"
end

function M.RULES.parse(value)
  if type(value) == "function" then
    return value
  end
  for _, name in ipairs(parsers.NAMES) do
    if value == name then
      return value
    end
  end
  return nil, 'must be "line", "json", "sse" or a function of a line'
end

--- A path as files are named in scripts: a relative one begins at the script's folder.
---@param path string
---@return string
function M.path(path)
  return path:sub(1, 1) == "/" and path or core.script_dir() .. path
end

--- Raises when what the source is to do with its lines is not clear.
function M.check_target(what, checked)
  if not checked.channel and type(checked.parse) ~= "function" then
    options.raise(what .. ": option 'channel' is missing")
  end
end

--- A source. `given` may have channel, parse and event (its name).
---@param what string function as the script calls it, "sse.tail"
---@param title string
---@param given table
---@return sse.Source
function M.new(what, title, given, class)
  local self = setmetatable({ title = title, channel = given.channel, failed = 0, slice_end = 0 }, class or Source)
  self.kind, self.event_name = given.parse or "line", given.event
  self.stopped = false
  self.bell = core.bell()
  self:reset()
  defined[self] = { what = what, title = title, place = options.position() }
  return self
end

--- For --check.
---@return { what: string, title: string, place: string? }[]
function M.list()
  local list = {}
  for _, entry in pairs(defined) do
    list[#list + 1] = entry
  end
  table.sort(list, function(a, b)
    return a.what .. a.title < b.what .. b.title
  end)
  return list
end

local Handle = {}
Handle.__index = Handle

function Handle:stop()
  rawget(self, 1):stop()
end

--- What scripts get: { stop = }.
---@param self sse.Source
---@return table
function M.handle(self)
  return setmetatable({ self }, Handle)
end

--- Lines begin anew.
function Source:reset()
  self.parse, self.unused = parsers.make(self.kind, self.event_name)
end

--- Runs `fn(self)` once the script is loaded and the router listens.
function Source:start(fn)
  core.timer(0, false, function()
    self:run(fn)
  end)
end

--- Runs `fn(self)` as a task; again, after a while, when it failed.
function Source:run(fn)
  core.task(function()
    fn(self)
  end, function(problem)
    if problem and not self.stopped then
      self:fail(problem)
      core.timer(math.min(0.01 * 2 ^ math.min(self.failed, 20), QUIET), false, function()
        self:run(fn)
      end)
    end
  end)
end

--- Ends it. What it waits for is woken.
function Source:stop()
  self.stopped = true
  self.bell:ring()
end

--- Lets others have a turn when this one has run for a while.
function Source:breathe()
  if core.monotonic() >= self.slice_end then
    core.sleep(0)
    self.slice_end = core.monotonic() + SLICE
  end
end

--- Counts and logs a failure; of many in a row only the first ones, and then one in a minute.
---@param message string
function Source:fail(message)
  self.failed = self.failed + 1
  local now = core.monotonic()
  if self.failed <= FAILURES_TOLD then
    core.report(self.title, message)
    self.told = now
  elseif now - self.told >= QUIET then
    core.report(self.title, ("%d failures in a row; the last: %s"):format(self.failed, message))
    self.told = now
  else
    core.report(self.title)
  end
  if self.failed == FAILURES_TOLD then
    log.error(("%s: ten failures in a row; further ones are told once a minute"):format(self.title))
  end
end

--- Publishes; while the disk does not take the event, again and again.
--- Waits to try again; a script that takes over meanwhile gets the lines anew.
local function wait_with(self, text, place, delay)
  local own = self.own or {}
  local after = own.position
  self.current, own.position = text, place
  core.outlive(false)
  core.sleep(delay)
  core.outlive(self.finishes)
  self.current, own.position = nil, after
end

local function publish(self, event, text, place)
  local delay = 0.1
  while not self.stopped do
    local id, message = core.publish(self.channel, event)
    if id then
      return
    end
    self:fail(message)
    wait_with(self, text, place, delay)
    delay = math.min(delay * 2, LONGEST_RETRY)
  end
end

local function traceback(problem)
  return debug.traceback(type(problem) == "string" and problem or tostring(problem), 2)
end

--- A line was parsed, and what it gave is about to be published. For classes that note how far they are.
function Source:parsed() end -- luacheck: ignore self

local function take(self, line, place)
  -- All that the event may be made of.
  local text = type(line) == "string" and self.unused() .. line or nil
  self.current = line
  local ok, event, problem = xpcall(self.parse, traceback, line)
  self.current = nil
  self:parsed()
  if not ok then
    return self:fail(event)
  elseif not event and problem then
    return self:fail(problem)
  elseif not event then
    self.failed = 0
    return
  elseif not self.channel then
    return self:fail "parse has returned an event, but option 'channel' is missing"
  end
  ok, problem = xpcall(publish, traceback, self, event, text, place)
  if not ok then
    return self:fail(problem)
  end
  self.failed = 0
end

--- Makes an event of a line and publishes it. Failures are told, and lose that line alone. A source that `finishes`
--- does so although the script is reloaded meanwhile, and its successor begins with the next line.
---@param line string
function Source:take(line)
  local place = self.own and self.own.position
  if self.finishes then
    self:parsed()
    core.outlive(true)
  end
  take(self, line, place)
  if self.finishes then
    core.outlive(false)
    self.stopped = self.stopped or core.is_retired()
  end
end

--- Takes a line that `Lines:next` gave, or tells of one that was too long.
---@param line string|false
function Source:take_or_tell(line)
  if line then
    self:take(line)
  else
    self:fail "a line of more than 1 MiB was left out"
  end
  self:breathe()
end

return M
