-- The prompt's commands: `.channels` and the like.

local core = require "sse.core"
local describe = require "sse.describe"
local options = require "sse.options"
local show = require "sse.show"

local M = {}

local function out(text)
  io.stdout:write(text, "\n")
end

--- Whether the name is meant: by a pattern with stars, or by a part of it.
local function is_meant(name, wanted)
  if wanted == "" then
    return name:sub(1, 1) ~= "|" -- the router's own
  elseif core.is_pattern(wanted) then
    return core.pattern_matches(wanted, name)
  end
  return name:find(wanted, 1, true) ~= nil
end

--- Names of channels, in order.
---@param wanted string? a pattern, or a part of the names
---@return string[]
---@return integer count of all channels
function M.channels(wanted)
  local names, all = {}, core.channels()
  for _, channel in ipairs(all) do
    if is_meant(channel.name, wanted or "") then
      names[#names + 1] = channel.name
    end
  end
  table.sort(names)
  return names, #all
end

local function latest(channel)
  local event = channel.events[#channel.events]
  return event and (event.id or "(no id)") or "-"
end

local function list_channels(wanted)
  local names, count = M.channels(wanted)
  out(("%-30s %8s %12s  %s"):format("channel", "events", "subscribers", "latest id"))
  for _, name in ipairs(names) do
    local channel = core.inspect(name, 1)
    out(("%-30s %8d %12d  %s"):format(show.plain(name), channel.length, channel.subscribers,
      show.plain(latest(channel))))
  end
  out(("(%d of %d channels)"):format(#names, count))
end

local function event_line(event)
  local time = os.date("!%Y-%m-%dT%H:%M:%SZ", event.time // 1 | 0)
  local name = event.event and " " .. event.event or ""
  local key = event.key and (" key=%s"):format(show.value(event.key)) or ""
  return show.plain(("%s  %s%s%s  "):format(time, event.id or "-", name, key)) .. show.value(event.data)
end

local function inspect(rest)
  local name, count = rest:match "^(%S+)%s*(%d*)$"
  local channel = name and core.inspect(name, tonumber(count) or 10)
  if not name then
    return out "usage: .inspect CHANNEL [COUNT]"
  elseif not channel then
    local nearest = options.nearest(name, (M.channels()))
    return out(("there is no channel '%s'%s"):format(show.plain(name),
      nearest and (" (did you mean '%s'?)"):format(show.plain(nearest)) or ""))
  end
  local events = channel.events
  channel.events = nil
  if channel.keyed then
    channel.history = nil
  end
  out(show.plain(name) .. ": " .. show.value(channel))
  for _, event in ipairs(events) do
    out(event_line(event))
  end
end

local function publish(rest)
  local name, data = rest:match "^(%S+)%s+(.+)$"
  if not name then
    return out "usage: .publish CHANNEL DATA"
  end
  local id, subscribers = core.publish(name, { data = data })
  if not id and type(subscribers) == "string" then
    return out("not published: " .. show.plain(subscribers))
  end
  out(("published %s to %d subscribers"):format(id or "(no id)", subscribers))
end

---@class sse.Command
---@field name string
---@field arguments string
---@field help string
---@field takes_channel boolean?
---@field run fun(rest: string)?

---@type sse.Command[]
local all = {
  { name = "channels", arguments = "[PATTERN]", help = "channels: events held, subscribers, latest id",
    takes_channel = true, run = list_channels },
  { name = "inspect", arguments = "CHANNEL [COUNT]", help = "a channel's numbers and its newest events",
    takes_channel = true, run = inspect },
  { name = "publish", arguments = "CHANNEL DATA", help = "publishes the rest of the line",
    takes_channel = true, run = publish },
  { name = "routes", arguments = "", help = "routes, with where they are defined", run = function()
    io.stdout:write(describe.routes())
  end },
  { name = "script", arguments = "", help = "routes, channels, timers and sources, as --check", run = function()
    io.stdout:write(describe.text())
  end },
  { name = "stats", arguments = "", help = "counters of the router", run = function()
    out(show.value(core.counters()))
  end },
  { name = "reload", arguments = "", help = "loads the script anew", run = function()
    core.reload()
  end },
  { name = "help", arguments = "", help = "this" },
  { name = "quit", arguments = "", help = "ends the router, as Ctrl-D does" },
}

local function help()
  for _, command in ipairs(all) do
    out((".%-26s %s"):format(command.name .. " " .. command.arguments, command.help))
  end
  out "Anything else is Lua, run in the script: its globals are there, `sse`, and `_`, the last value."
  out "It may wait (sse.sleep, sse.fetch); Ctrl-C ends what waits. Tab completes."
end

---@return sse.Command[]
function M.list()
  return all
end

--- The command of that name.
---@param name string
---@return sse.Command?
function M.get(name)
  for _, command in ipairs(all) do
    if command.name == name then
      return command
    end
  end
end

--- A function that runs the command with the rest of its line; or "error" and a message.
---@param name string
---@param rest string
---@return function|string
---@return string?
function M.find(name, rest)
  local command = M.get(name)
  if not command then
    return "error", ("there is no command '.%s': .help lists them"):format(name)
  end
  return function()
    (command.run or help)(rest)
  end
end

return M
