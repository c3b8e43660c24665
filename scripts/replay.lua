-- sse.replay: publishes a recording with its original timing.

local core = require "sse.core"
local json = require "sse.json"
local lines = require "sse.lines"
local notes = require "sse.notes"
local options = require "sse.options"
local parsers = require "sse.parsers"
local source = require "sse.source"

local M = {}

local RULES = {
  channel = { type = source.RULES.channel },
  speed = { type = "number", min = 0.001, default = 1 },
  loop = { type = "boolean", default = false },
  interval = { type = "duration", default = 1 },
  keep_ids = { type = "boolean", default = false },
}

local noted = notes.open "replay"

---@class sse.Replay: sse.Source
local Replay = setmetatable({}, { __index = source.class })

--- A parser of lines of JSON, as sse.record writes them.
local function json_parser()
  return function(line)
    local record, problem = json.decode(line)
    if type(record) ~= "table" then
      return nil, ("no recorded event: %s"):format(problem or "not an object")
    end
    local event = { event = record.event, data = record.data, id = record.id, key = record.key }
    return event, nil, record.time, record.channel
  end
end

--- A parser of an event stream; a comment ": time=SECONDS" before an event is its time.
local function stream_parser()
  local parse, time = parsers.make "sse", nil
  return function(line)
    time = tonumber(line:match "^: ?time=([%d.]+)$") or time
    local event = parse(line)
    if not event then
      return nil
    end
    local of_event = time
    time = nil
    return event, nil, of_event
  end
end

--- When the event is due, on the clock that is never set. Times before the last one's count as the last one's.
local function due_at(self, time)
  local own = self.own
  if type(time) ~= "number" then
    return own.due and own.due + self.interval / self.speed or core.monotonic()
  elseif not own.base then
    own.base, own.base_time = own.due and own.due + self.interval / self.speed or core.monotonic(), time
  end
  return math.max(own.due or 0, own.base + (time - own.base_time) / self.speed)
end

local function wait_until(self, due)
  local left = due - core.monotonic()
  while left > 0 and not self.stopped do
    self.bell:wait(left)
    left = due - core.monotonic()
  end
end

--- Called by Source:take: waits until the event is due.
local function parse_line(self, line)
  if not line:find "%S" and self.is_json ~= false then
    return nil
  elseif self.is_json == nil then
    self.is_json = line:find "^%s*{" ~= nil
    self.parse_record = self.is_json and json_parser() or stream_parser()
  end
  local event, problem, time, channel = self.parse_record(line)
  if not event then
    return nil, problem
  end
  if not self.keep_ids then
    event.id = nil
  end
  local due = due_at(self, time)
  wait_until(self, due)
  self.channel = self.given_channel or channel
  self.own.due, self.count = due, self.count + 1
  return not self.stopped and event or nil
end

--- How far lines have become events.
function Replay:parsed()
  if self.count > self.counted then
    self.counted = self.count
    self.own.position = self.position - self.lines:pending()
  end
end

local function take_lines(self)
  local line = self.lines:next()
  while line ~= nil and not self.stopped do
    self:take_or_tell(line)
    line = self.lines:next()
  end
end

local function play(self, reader)
  take_lines(self)
  while not self.stopped do
    local bytes, problem = reader:read(self.position)
    if not bytes then
      return self:fail(problem)
    elseif bytes == "" then
      break
    end
    self.position = self.position + #bytes
    self.lines:feed(bytes)
    take_lines(self)
  end
  local last = self.lines:rest()
  if last ~= "" and not self.stopped then
    self:take(last)
  end
end

local function run(self)
  local reader, problem = core.reader(self.path)
  if not reader then
    return self:fail(problem)
  end
  repeat
    play(self, reader)
    local empty = self.count == 0
    self.position, self.own.position, self.own.base, self.is_json, self.count, self.counted = 0, 0, nil, nil, 0, 0
    if empty and self.loop then
      self:fail "the recording has no events"
    end
  until self.stopped or empty or not self.loop
  self.own.done = true
  reader:close()
  if self.stopped then
    noted:drop(self.own)
  end
end

--- Publishes the events of a recording: lines of JSON as sse.record writes them, or an event stream. A relative path
--- begins at the script's folder.
---@param path string
---@param given sse.ReplayOptions?
---@return { stop: fun(self) }
function M.replay(path, given)
  options.argument("sse.replay", 1, "path", path, "string")
  local checked = options.check("sse.replay", given, RULES)
  local full = source.path(path)
  local self
  self = source.new("sse.replay", "replay " .. full:match "[^/]*$", {
    parse = function(line)
      return parse_line(self, line)
    end,
  }, { __index = Replay })
  self.path, self.lines, self.given_channel = full, lines.new(), checked.channel
  for _, name in ipairs { "speed", "loop", "interval", "keep_ids" } do
    self[name] = checked[name]
  end
  local own, before = noted:take(full)
  for name, value in pairs(before or {}) do
    own[name] = value
  end
  self.own, self.position = own, own.position or 0
  -- A pass that was begun by the script before is not empty.
  self.count = self.position > 0 and 1 or 0
  self.counted = self.count
  if not own.done then
    self:start(run)
  end
  return source.handle(self)
end

return M
