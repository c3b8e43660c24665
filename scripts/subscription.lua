-- sse.subscribe: what a handler returns to start a stream of channels.

local controls = require "sse.controls"
local core = require "sse.core"
local filter = require "sse.filter"
local options = require "sse.options"
local pipe = require "sse.pipe"
local resets = require "sse.resets"
local stages = require "sse.stages"

local M = {}

local math_type = math.type

local HEARTBEAT = 15000 -- milliseconds

local function is_channel(value)
  local meta = type(value) == "userdata" and getmetatable(value)
  return meta and meta.__name == "sse.channel" or type(value) == "string" and value ~= ""
end

local function channel_list(value)
  if type(value) == "table" then
    return value
  end
  return nil, "must be a list of channels or of their names"
end

local function filter_spec(value)
  if type(value) == "string" or type(value) == "table" then
    return value
  end
  return nil, 'must be a filter\'s name or { "name", arguments... }'
end

local function form_of_channel(value)
  if value == true then
    return "event"
  elseif value == false or value == "event" or value == "envelope" then
    return value
  end
  return nil, 'must be true, "event" or "envelope"'
end

local function name_list(value)
  for _, name in pairs(type(value) == "table" and value or { false }) do
    if type(name) ~= "string" then
      return nil, "must be a list of event names"
    end
  end
  return #value > 0 and value or nil, "must be a list of event names"
end

local function event_list(value)
  if type(value) == "table" and (#value > 0 or next(value) == nil) then
    return value
  end
  return nil, "must be a list of events"
end

local function stage_rule(value)
  if stages.is_stage(value) then
    return value
  end
  return nil, 'must be a stage such as sse.throttle "1s"'
end

local RULES = {
  channels = { type = channel_list },
  events = { type = name_list },
  filter = { type = filter_spec },
  history = { type = "integer", min = 0 },
  start = { type = "string" },
  retry = { type = "duration" },
  heartbeat = { type = "duration" },
  first = { type = event_list },
  on_reset = { type = resets.rule },
  with_channel = { type = form_of_channel },
  through = { type = stage_rule },
  controls = { type = "boolean" },
}

---@class sse.Subscription
local Subscription = {}
Subscription.__index = Subscription
M.class = Subscription

local function milliseconds(seconds)
  return seconds and math.tointeger(seconds * 1000 // 1)
end

--- Adds the list's items up to `length` to the channels. Each is checked, and a hole is a variable that should hold a
--- channel.
local function add_channels(channels, list, length, label)
  for index = 1, length do
    local channel = list[index]
    if channel == nil then
      options.raise(("sse.subscribe: %s is nil"):format(label:format(index)))
    elseif not is_channel(channel) then
      options.raise(("sse.subscribe: %s must be a channel or a channel's name, got %s"):format(label:format(index),
        options.show(channel)))
    end
    channels[#channels + 1] = channel
  end
end

--- The greatest index of a list that may have holes, and its named options, if any.
local function sort(given)
  local named, length = nil, 0
  for key, value in pairs(given) do
    if math_type(key) ~= "integer" then
      named = named or {}
      named[key] = value
    elseif key > length then
      length = key
    end
  end
  return length, named
end

local function encode_first(events)
  local parts = {}
  for index, event in ipairs(events or {}) do
    parts[index] = core.encode_event(event)
  end
  return table.concat(parts)
end

local function start_of(checked)
  if checked.start and not core.check_start(checked.start) then
    options.raise "sse.subscribe: option 'start' must be an id, earliest, latest, last=20 or since=10m"
  end
  return checked.start or checked.history and "last=" .. checked.history
end

local function read_options(spec, checked)
  local channels = spec.channels
  if checked.channels then
    add_channels(channels, checked.channels, sort(checked.channels), "channels[%d]")
  end
  if checked.through then
    for index, channel in ipairs(channels) do
      channels[index] = pipe.through(channel, checked.through)
    end
  end
  spec.events = checked.events
  spec.start = start_of(checked)
  spec.retry = milliseconds(checked.retry)
  spec.heartbeat = milliseconds(checked.heartbeat) or HEARTBEAT
  spec.first = encode_first(checked.first)
  spec.on_reset = checked.on_reset
  spec.controls = checked.controls
  spec.filter_key, spec.filter = filter.resolve(checked.filter, checked.with_channel)
end

--- Describes a stream of channels; return it from a handler.
---@param given table
---@return sse.Subscription
function M.new(given)
  if type(given) ~= "table" then
    given = { given }
  end
  local channels = {}
  local length, named = sort(given)
  add_channels(channels, given, length, "item %d")
  local spec = { channels = channels, heartbeat = HEARTBEAT, first = "" }
  if named then
    read_options(spec, options.check("sse.subscribe", named, RULES))
  end
  if #channels == 0 then
    options.raise 'sse.subscribe: no channels: write sse.subscribe { "news" } or { channels = { "news" } }'
  end
  return setmetatable(spec, Subscription)
end

--- Starts the stream.
---@param req sse.Request
---@param headers table
---@param asked string? where the client wants to start
---@return integer connection
function Subscription:open(req, headers, asked)
  local id = self.controls and core.random_id() or nil
  local first = id and core.encode_event { event = "stream", data = { id = id } } .. self.first or self.first
  local start = asked or self.start or resets.is_snapshot(self.channels) and "earliest" or nil
  local connection, chunked = req.handle:subscribe(self, headers, start, first, req)
  if id and connection then
    controls.register(id, connection, self, chunked, req.route)
  end
  return connection
end

--- What the client is told when its stream cannot continue where it was: event-stream text.
---@param req sse.Request
---@param info sse.Reset
function Subscription:reset(req, info)
  return resets.encode(req, self, info)
end

return M
