-- Child processes with their output as lines. The kernel kills them when the specs' process dies
-- (`setpriv --pdeathsig`), the clean-up when a spec forgets.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"
local loop = require "spec.support.loop"

local M = {}

---@class support.Process
---@field pid integer
---@field name string what messages call it
---@field stdout string[] whole lines so far
---@field stderr string[] whole lines so far
---@field status integer|nil exit status, once it has ended
---@field signal integer|nil number of the signal that ended it, or 0
local Process = {}
Process.__index = Process

local sanitizer_reports = {
  "ERROR: AddressSanitizer",
  "ERROR: LeakSanitizer",
  "WARNING: ThreadSanitizer",
  "runtime error:",
}

--- Splits what arrives into lines; the rest without a line feed stays in `self.rest`.
local function collect(self, stream, pipe)
  self.open_pipes = self.open_pipes + 1
  self.rest[stream] = ""
  pipe:read_start(loop.protect(function(problem, bytes)
    if bytes then
      local text = self.rest[stream] .. bytes
      local lines = self[stream]
      local from = 1
      for stop in text:gmatch "()\n" do
        lines[#lines + 1] = text:sub(from, stop - 1)
        from = stop + 1
      end
      self.rest[stream] = text:sub(from)
      return
    end
    if self.rest[stream] ~= "" then
      table.insert(self[stream], self.rest[stream])
    end
    self.open_pipes = self.open_pipes - 1
    loop.close(pipe)
    if problem then
      loop.fail(("reading %s of %s: %s"):format(stream, self.name, problem))
    end
  end))
end

local function environment(changes)
  local variables = uv.os_environ()
  for name, value in pairs(changes or {}) do
    variables[name] = value or nil
  end
  local list = {}
  for name, value in pairs(variables) do
    list[#list + 1] = name .. "=" .. tostring(value)
  end
  return list
end

local function command_line(args, wrapper)
  local all = { "--pdeathsig", "KILL" }
  for _, part in ipairs { wrapper or {}, args } do
    table.move(part, 1, #part, #all + 1, all)
  end
  return all
end

--- Starts a program.
--- Options: `env` (added to ours; false removes), `cwd`, `stdin` (text, then end of file; or `true` for
--- an open pipe that `write` feeds; default: nothing), `wrapper` (a command to start it through, such as
--- `{ "prlimit", "--nofile=64" }`), `name`.
---@param args string[] program and arguments
---@param options table|nil
---@return support.Process
function M.spawn(args, options)
  options = options or {}
  local self = setmetatable({ name = options.name or args[1], stdout = {}, stderr = {} }, Process)
  self.rest, self.open_pipes, self.args = {}, 0, args
  local output, errors = uv.new_pipe(false), uv.new_pipe(false)
  self.input = options.stdin and uv.new_pipe(false) or nil
  local ended = loop.protect(function(status, signal)
    self.status, self.signal = status, signal
    loop.close(self.handle)
    loop.close(self.input)
  end)
  local handle, pid = uv.spawn("setpriv", {
    args = command_line(args, options.wrapper),
    stdio = { self.input, output, errors },
    env = environment(options.env),
    cwd = options.cwd,
  }, ended)
  if not handle then
    error(("cannot start %s: %s"):format(self.name, pid), 2)
  end
  self.handle, self.pid = handle, pid
  cleanup.add(self, Process.discard)
  collect(self, "stdout", output)
  collect(self, "stderr", errors)
  if type(options.stdin) == "string" then
    self:write(options.stdin)
    self:close_input()
  end
  return self
end

--- Runs a program to its end. Options as for `spawn`, and `seconds`.
---@param args string[]
---@param options table|nil
---@return table result { status, signal, stdout, stderr }, the last two as text
function M.run(args, options)
  options = options or {}
  local process = M.spawn(args, options)
  process:wait_exit(options.seconds)
  return {
    status = process.status,
    signal = process.signal,
    stdout = process:text "stdout",
    stderr = process:text "stderr",
  }
end

--- Whether the process has ended and all its output is here.
function Process:ended()
  return self.status ~= nil and self.open_pipes == 0
end

---@param stream string|nil "stdout" or "stderr" (default)
---@return string
function Process:text(stream)
  local lines = self[stream or "stderr"]
  return #lines == 0 and "" or table.concat(lines, "\n") .. "\n"
end

--- Says what was awaited together with the end of what the process wrote.
local function with_output(self, what)
  return function()
    local lines = self.stderr
    local last = table.concat(lines, "\n", math.max(1, #lines - 29))
    local ended = self.status and (" (it ended: status %d, signal %d)"):format(self.status, self.signal) or ""
    return ("%s of %s%s; its stderr ends:\n%s"):format(what, self.name, ended, last)
  end
end

---@param seconds number|nil
---@return integer status
---@return integer signal
function Process:wait_exit(seconds)
  loop.wait_until(function()
    return self:ended()
  end, seconds, with_output(self, "the end"))
  cleanup.remove(self)
  return self.status, self.signal
end

--- Waits for a line that matches, also among those already there. Fails at once if the process ends without.
---@param stream string "stdout" or "stderr"
---@param pattern string a Lua pattern
---@param seconds number|nil
---@param from integer|nil number of the first line to look at, default 1
---@return string line, or the pattern's first capture
---@return integer number of the line
function Process:wait_line(stream, pattern, seconds, from)
  local lines = self[stream]
  local number = from or 1
  local found
  local what = with_output(self, ("a line like %q on %s"):format(pattern, stream))
  loop.wait_until(function()
    while not found and lines[number] do
      found = lines[number]:match(pattern)
      number = number + 1
    end
    return found or self:ended()
  end, seconds, what)
  if not found then
    loop.raise("there was no " .. what())
  end
  return found, number - 1
end

---@param bytes string
function Process:write(bytes)
  self.input:write(bytes)
end

--- Ends the process's standard input, after what was written.
function Process:close_input()
  local input = self.input
  input:shutdown(function()
    loop.close(input)
  end)
end

--- Sends a signal; does not wait.
---@param signal string|integer|nil default "sigkill"
function Process:kill(signal)
  if self.status == nil then
    self.handle:kill(signal or "sigkill")
  end
end

--- Kills the process if it still runs, and waits for its end.
function Process:discard()
  if not self:ended() then
    self:kill "sigkill"
    self:wait_exit()
  end
  cleanup.remove(self)
end

--- Raises if a sanitizer wrote a report.
function Process:assert_no_report()
  for number, line in ipairs(self.stderr) do
    for _, report in ipairs(sanitizer_reports) do
      if line:find(report, 1, true) then
        local rest = table.concat(self.stderr, "\n", number, math.min(#self.stderr, number + 60))
        loop.raise(("a sanitizer's report on %s:\n%s"):format(self.name, rest))
      end
    end
  end
end

return M
