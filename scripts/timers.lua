-- sse.every, sse.after, sse.sleep, sse.spawn.

local core = require "sse.core"
local options = require "sse.options"

local M = {}

local defined = {} -- for --check: those of the main chunk

local function start(what, interval, fn, repeats)
  local rule = { type = "duration", min = repeats and 0.001 or 0 }
  local seconds = options.argument(what, 1, "interval", interval, rule)
  options.argument(what, 2, "function", fn, "function")
  if core.is_loading() then
    defined[#defined + 1] = { what = what, interval = interval, place = options.position() }
  end
  return core.timer(seconds, repeats, fn)
end

--- Calls `fn` again and again; never twice at once. It may wait.
---@param interval string|number
---@param fn function
---@return sse.Timer
function M.every(interval, fn)
  return start("sse.every", interval, fn, true)
end

--- Calls `fn` once. It may wait.
---@param delay string|number
---@param fn function
---@return sse.Timer
function M.after(delay, fn)
  return start("sse.after", delay, fn, false)
end

--- Waits, while others go on.
---@param duration string|number
function M.sleep(duration)
  core.sleep(options.argument("sse.sleep", 1, "duration", duration, "duration"))
end

--- Runs `fn` as a coroutine that may wait.
---@param fn function
function M.spawn(fn, ...)
  options.argument("sse.spawn", 1, "function", fn, "function")
  core.spawn(fn, ...)
end

function M.list()
  return defined
end

return M
