-- sse.record: writes the events of a channel to a file, for sse.replay.

local core = require "sse.core"
local json = require "sse.json"
local options = require "sse.options"
local source = require "sse.source"

local M = {}

local FORMATS = { "json", "sse" }

local RULES = {
  format = { type = "string", values = FORMATS },
}

---@class sse.Record: sse.Source
local Record = setmetatable({}, { __index = source.class })

local write = {}

--- One object in one line.
function write.json(event, channel)
  local parts = { ('{"time":%.3f'):format(core.now()) }
  local function add(name, value)
    if value ~= nil then
      parts[#parts + 1] = ('"%s":%s'):format(name, json.encode(value))
    end
  end
  add("channel", channel)
  add("event", event.event)
  add("id", event.id)
  add("key", event.key)
  add("data", event.data)
  return table.concat(parts, ",") .. "}\n"
end

--- As on the wire, with the time as a comment.
function write.sse(event)
  return (": time=%.3f\n"):format(core.now())
    .. core.encode_event { event = event.event, id = event.id, data = event.data }
end

function Record:append(event)
  local text = write[self.format](event, self.is_pattern and event.channel or nil)
  local ok, problem = self.file:write(text)
  if ok then
    ok, problem = self.file:flush()
  end
  if ok then
    self.failed = 0
  else
    self:fail(problem)
  end
end

function Record:stop()
  if not self.stopped then
    self.stopped = true
    self.observer:stop()
    self.file:close()
  end
end

local function channel_name(value)
  if type(value) == "userdata" then
    return value.name
  end
  return options.argument("sse.record", 1, "channel", value, "string")
end

--- Appends every event of a channel (or of all that a pattern means) to a file: lines of JSON, or an event stream when
--- the name ends in ".sse". A relative path begins at the script's folder.
---@param channel string|sse.Channel
---@param path string
---@param given { format: "json"|"sse"|nil }?
---@return { stop: fun(self) }
function M.record(channel, path, given)
  local name = channel_name(channel)
  options.argument("sse.record", 2, "path", path, "string")
  local checked = options.check("sse.record", given, RULES)
  local file, problem = io.open(source.path(path), "a")
  if not file then
    options.raise("sse.record: " .. problem)
  end
  local self = source.new("sse.record", "record " .. name, {}, { __index = Record })
  self.file, self.is_pattern = file, core.is_pattern(name)
  self.format = checked.format or path:find "%.sse$" and "sse" or "json"
  self.observer = core.observe(name, function(event)
    if not core.is_checking() then
      self:append(event)
    end
  end)
  return source.handle(self)
end

return M
