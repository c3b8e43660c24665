-- What clients are told when their stream cannot continue where they were.

local core = require "sse.core"
local json = require "sse.json"

local M = {}

local rules = {} -- by channel: on_reset, when it is a function

---@class sse.Reset
---@field reason "evicted"|"unknown"|"epoch"|"lagged"
---@field requested string the id that the client asked for
---@field oldest string? id of the oldest event that the log has
---@field latest string? id of the last event

--- The option `on_reset`: the event's name, false for none, or a function that gives other events instead.
function M.rule(value)
  if value == false or type(value) == "function" then
    return value
  elseif type(value) == "string" and value ~= "" and not value:find "[\r\n\0]" then
    return value
  end
  return nil, "must be an event's name, false, or a function(req, info)"
end

--- Notes a channel's rule. Gives the event's name for the core: nil for the usual one, "" for none.
function M.define(name, rule)
  rules[name] = rule
  if type(rule) == "string" then
    return rule
  end
  return rule == false and "" or nil
end

local function name_of(channel)
  return type(channel) == "string" and channel or channel.name
end

--- The rule of a subscription: its own, else the first that one of its channels has.
local function rule_of(subscription)
  if subscription.on_reset ~= nil then
    return subscription.on_reset
  end
  for _, channel in ipairs(subscription.channels) do
    local rule = rules[name_of(channel)]
    if rule ~= nil then
      return rule
    end
  end
  return "reset"
end

local function usual(name, info)
  return core.encode_event {
    event = name,
    data = {
      reason = info.reason,
      requested = info.requested,
      oldest = info.oldest or json.null,
      latest = info.latest or json.null,
    },
  }
end

--- Ids in headers may be any bytes; what is shown of them must be UTF-8.
local function printable(text)
  return core.is_utf8(text) and text or (text:gsub("[\128-\255]", "?"))
end

--- What a script's own rule gives instead, as event-stream text.
local function replacement(rule, req, info)
  local events = rule(req, { reason = info.reason, requested = info.requested, oldest = info.oldest,
    latest = info.latest })
  if events == nil then
    return ""
  elseif type(events) == "string" or events[1] == nil then
    events = { events }
  end
  local parts = {}
  for index, event in ipairs(events) do
    parts[index] = core.encode_event(event)
  end
  return table.concat(parts)
end

--- Event-stream text that stands first in the stream.
---@param req sse.Request
---@param subscription sse.Subscription
---@param info sse.Reset
---@return string
function M.encode(req, subscription, info)
  info.requested = printable(info.requested)
  local rule = rule_of(subscription)
  if rule == false then
    return ""
  elseif type(rule) == "string" then
    return usual(rule, info)
  end
  local ok, text = xpcall(replacement, debug.traceback, rule, req, info)
  if not ok then
    -- An error answer would end the client for good, and it must hear of the loss.
    core.report("on_reset", text)
    return usual("reset", info)
  end
  return text
end

--- Whether all channels are keyed: a new subscriber first gets the latest event of each key.
function M.is_snapshot(channels)
  for _, channel in ipairs(channels) do
    if not core.is_keyed(channel) then
      return false
    end
  end
  return true
end

return M
