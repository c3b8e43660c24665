-- The luv loop as specs use it: run it until something holds, never for a fixed time.
-- Callbacks given to luv go through `loop.protect`, since luv ends the process when one raises;
-- what they raise comes out of the wait that is going on, or of the next one.

local uv = require "luv"

local M = {}

M.default_limit = 10

local poll_milliseconds = 5
local waiting = false
local tick = uv.new_timer()

-- A peer that is gone is an error of the write, not the end of all specs.
local broken_pipe = uv.new_signal()
broken_pipe:start("sigpipe")
broken_pipe:unref()
local failure

--- How much longer everything may take; the sanitizer and valgrind rounds set it.
local slowness = tonumber(os.getenv "SSE_ROUTER_SPEC_SLOW" or "") or 1

---@return number seconds since some fixed moment
function M.now()
  return uv.hrtime() / 1e9
end

--- The limit for a wait: `seconds` or the default, stretched for slow builds.
---@param seconds number|nil
---@return number
function M.limit(seconds)
  return (seconds or M.default_limit) * slowness
end

--- The position of the spec that called into the support, so that a message names its line.
local function caller_position()
  for level = 3, 30 do
    local info = debug.getinfo(level, "Sl")
    if not info then
      break
    end
    local inside = info.source:find "spec/support/[%w_]+%.lua$" and not info.source:find "_spec%.lua$"
    if info.currentline > 0 and not inside then
      return ("%s:%d: "):format(info.short_src, info.currentline)
    end
  end
  return ""
end

--- Raises `message` with the position of the spec that called the support.
---@param message string
function M.raise(message)
  error(caller_position() .. message, 0)
end

--- Makes the wait that is going on, or the next one, fail with `message`. The first failure wins.
---@param message any
function M.fail(message)
  failure = failure or message
end

--- Lets handles that were closed go. luv crashes when Lua's state ends between a close and its callback, so
--- this comes before the end of the process; outside busted a program calls it itself.
function M.settle()
  local closing = true
  while closing do
    uv.run "nowait"
    closing = false
    uv.walk(function(handle)
      closing = closing or handle:is_closing()
    end)
  end
end

--- Raises what a callback left behind, if anything. Clears it.
function M.raise_failure()
  local message = failure
  failure = nil
  if type(message) == "string" then
    M.raise(message)
  elseif message ~= nil then
    error(message, 0)
  end
end

local function keep_traceback(message)
  return type(message) == "string" and debug.traceback(message, 2) or message
end

--- A function for luv to call: an error in `fn` fails the wait that is going on.
---@param fn function
---@return function
function M.protect(fn)
  return function(...)
    local ok, message = xpcall(fn, keep_traceback, ...)
    if not ok then
      M.fail(message)
    end
  end
end

--- Closes a luv handle unless that was done already.
---@param handle userdata|nil
---@param closed function|nil called when the handle is gone
function M.close(handle, closed)
  if handle and not handle:is_closing() then
    handle:close(closed and M.protect(closed) or nil)
  end
end

--- Calls `fn` once after `seconds`. Close the answer to call it off.
---@param seconds number
---@param fn function
---@return userdata timer
function M.after(seconds, fn)
  local timer = uv.new_timer()
  timer:start(math.ceil(seconds * 1000), 0, M.protect(function()
    M.close(timer)
    fn()
  end))
  return timer
end

--- Runs the loop until `condition` gives something true or `seconds` have gone by.
local function run_until(condition, seconds)
  if waiting then
    error("a callback waited for the loop that it is called by", 3)
  end
  local deadline = M.now() + seconds
  tick:start(poll_milliseconds, poll_milliseconds, function() end)
  waiting = true
  local ok, result = pcall(function()
    local value = not failure and condition()
    while not value and not failure and M.now() < deadline do
      uv.run "once"
      value = condition()
    end
    return value
  end)
  waiting = false
  tick:stop()
  M.raise_failure()
  if not ok then
    error(result, 0)
  end
  return result
end

--- Runs the loop until `condition` gives something true, and returns that.
---@param condition fun(): any
---@param seconds number|nil
---@param what string|fun(): string what is awaited, for the message
---@return any
function M.wait_until(condition, seconds, what)
  local limit = M.limit(seconds)
  local result = run_until(condition, limit)
  if not result then
    what = type(what) == "function" and what() or what or "a condition"
    M.raise(("waited %g s for %s"):format(limit, what))
  end
  return result
end

--- Runs the loop for `seconds` and raises as soon as `condition` stops to hold. Only for saying that
--- something does not happen; whatever does happen is awaited.
---@param condition fun(): any
---@param seconds number
---@param what string
function M.holds(condition, seconds, what)
  local broken = run_until(function()
    return not condition()
  end, seconds)
  if broken then
    M.raise(("for %g s this should have held: %s"):format(seconds, what))
  end
end

local busted = package.loaded.busted
if busted and busted.subscribe then
  busted.subscribe({ "exit" }, function()
    M.settle()
    return nil, true
  end)
end

--- Calls `fn`, which may itself wait for an answer, again and again until its value is true.
---@param fn fun(): any
---@param seconds number?
---@param what string
function M.eventually(fn, seconds, what)
  local deadline = M.now() + M.limit(seconds)
  while not fn() do
    if M.now() > deadline then
      M.raise("waited in vain for " .. what)
    end
  end
end

return M
