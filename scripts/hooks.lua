-- sse.on: handlers of what happens in the router.

local controls = require "sse.controls"
local core = require "sse.core"
local options = require "sse.options"

local M = {}

local NAMES = { "subscribe", "unsubscribe", "shutdown", "error" }

local handlers = {}
local streams = {} -- what "unsubscribe" is told of each open stream

--- Calls `fn` each time: "subscribe" and "unsubscribe" with { channels =, path =, ip =, id = }, "shutdown"
--- before the router ends, "error" with the text of a script's error, but not of one of these handlers'. Handlers
--- may wait.
---@param name "subscribe"|"unsubscribe"|"shutdown"|"error"
---@param fn function
function M.on(name, fn)
  options.argument("sse.on", 1, "event", name, { type = "string", values = NAMES })
  options.argument("sse.on", 2, "handler", fn, "function")
  handlers[name] = handlers[name] or {}
  table.insert(handlers[name], fn)
  if name == "unsubscribe" then
    core.watch_closing()
  end
end

local function run(name, ...)
  for _, fn in ipairs(handlers[name] or {}) do
    core.tell(name, fn, ...)
  end
end

--- The core tells of something.
function M.emit(name, ...)
  if name == "closed" then
    local id = ...
    controls.forget(id)
    local info = streams[id]
    streams[id] = nil
    if info then
      run("unsubscribe", info)
    end
  else
    run(name, ...)
  end
end

local function names_of(channels)
  local names = {}
  for index, channel in ipairs(channels) do
    names[index] = type(channel) == "string" and channel or channel.name
  end
  return names
end

--- A stream of channels has started.
---@param req sse.Request
---@param subscription sse.Subscription
---@param id integer
function M.subscribed(req, subscription, id)
  if not handlers.subscribe and not handlers.unsubscribe then
    return
  end
  local info = { channels = names_of(subscription.channels), path = req.path, ip = req.ip, id = id, req = req }
  if handlers.unsubscribe then
    streams[id] = info
  end
  run("subscribe", info)
end

return M
