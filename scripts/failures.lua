-- Failures in a row: how long to wait after each, and what to say about it.

local core = require "sse.core"

local M = {}

local MANY = 10
local LONGEST = 60 -- seconds

---@class sse.Failures
---@field count integer in a row
local Failures = {}
Failures.__index = Failures

---@param what string that fails, as log lines begin
---@return sse.Failures
function M.new(what)
  return setmetatable({ what = what, count = 0 }, Failures)
end

function Failures:clear()
  if self.count >= MANY then
    core.log("info", self.what .. ": works again")
  end
  self.count = 0
end

--- One more failure. Gives the seconds to wait before the next attempt: `delay` and twice as long each time, at most
--- a minute (or `delay`, if that is longer), and a minute after many.
---@param delay number
---@return number
function Failures:add(delay)
  self.count = self.count + 1
  if self.count == MANY then
    core.log("warn", ("%s: failed %d times in a row; tries once in a minute from now on"):format(self.what, MANY))
  end
  local wait = self.count < MANY and math.min(LONGEST, delay * 2 ^ (self.count - 1)) or LONGEST
  return math.max(delay, wait)
end

local guard_meta = {}

--- The task was stopped by an error that nothing catches, such as the time budget's; or the script has gone.
function guard_meta.__close(guard)
  if not guard.done and not core.is_retired() then
    guard.fn()
  end
end

--- A value for a `<close>` variable: calls `fn` when the block ends before its field `done` is set.
---@param fn function
function M.guard(fn)
  return setmetatable({ fn = fn }, guard_meta)
end

--- Calls a function of the script that may fail: its error is logged with traceback, and counted.
---@return boolean whether it returned
function Failures:call(fn, ...)
  local ok, message = xpcall(fn, debug.traceback, ...)
  if not ok then
    core.report(self.what, tostring(message))
  end
  return ok
end

return M
