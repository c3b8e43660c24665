-- What --check and the prompt print: the script's routes, channels and timers.

local core = require "sse.core"
local routes = require "sse.routes"
local source = require "sse.source"
local timers = require "sse.timers"

local M = {}

local function add(lines, title, rows)
  lines[#lines + 1] = ("%s (%d)"):format(title, #rows)
  for _, row in ipairs(rows) do
    lines[#lines + 1] = "  " .. row
  end
end

local function route_rows()
  local rows = {}
  for _, entry in ipairs(routes.list()) do
    rows[#rows + 1] = ("%-7s %-32s %s"):format(entry.method, entry.pattern, entry.place or "")
  end
  return rows
end

local function channel_rows()
  local rows = {}
  for _, channel in ipairs(core.channels()) do
    rows[#rows + 1] = channel.name
  end
  table.sort(rows)
  return rows
end

local function timer_rows()
  local rows = {}
  for _, timer in ipairs(timers.list()) do
    rows[#rows + 1] = ("%s %-8s %s"):format(timer.what, timer.interval, timer.place or "")
  end
  return rows
end

local function source_rows()
  local rows = {}
  for _, entry in ipairs(source.list()) do
    rows[#rows + 1] = ("%-12s %-27s %s"):format(entry.what, entry.title, entry.place or "")
  end
  return rows
end

---@return string
function M.routes()
  local lines = {}
  add(lines, "routes", route_rows())
  return table.concat(lines, "\n") .. "\n"
end

---@return string
function M.text()
  local lines = {}
  add(lines, "routes", route_rows())
  add(lines, "channels", channel_rows())
  add(lines, "timers", timer_rows())
  if #source.list() > 0 then
    add(lines, "sources", source_rows())
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
