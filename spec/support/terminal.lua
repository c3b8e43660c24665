-- A program at a terminal: what a user types, and what stands on the screen, with the escape sequences in it.
-- util-linux's `script` has the pseudo-terminal.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"
local loop = require "spec.support.loop"
local process = require "spec.support.process"

local M = {}

---@class support.Terminal
---@field process support.Process
---@field seen integer bytes of what was written that `wait` has passed
local Terminal = {}
Terminal.__index = Terminal

local function quote(words)
  local quoted = {}
  for index, word in ipairs(words) do
    quoted[index] = "'" .. word:gsub("'", "'\\''") .. "'"
  end
  return table.concat(quoted, " ")
end

--- Starts a program. The terminal's modes are printed before and after it, and its exit status in between.
--- Options: `env`.
---@param words string[]
---@param options table|nil
---@return support.Terminal
function M.open(words, options)
  local env = { TERM = "xterm", SHELL = "/bin/sh" }
  for name, value in pairs(options and options.env or {}) do
    env[name] = value
  end
  local command = ("trap : INT; echo before $(stty -g); %s; echo status $?; echo after $(stty -g)"):format(quote(words))
  local self = setmetatable({ seen = 0 }, Terminal)
  self.process = process.spawn({ "script", "-qfc", command, "/dev/null" }, { env = env, stdin = true, name = words[1] })
  cleanup.add(self, Terminal.close)
  return self
end

--- All that was written so far, lines ending in "\r\n".
---@return string
function Terminal:text()
  return self.process:text "stdout" .. self.process.rest.stdout
end

---@param keys string
function Terminal:type(keys)
  self.process:write(keys)
end

--- Waits until the text is written, behind what was awaited before. Gives what stands between.
---@param text string plain
---@param seconds number|nil
---@return string
function Terminal:wait(text, seconds)
  local from, to
  loop.wait_until(function()
    from, to = self:text():find(text, self.seen + 1, true)
    return from
  end, seconds, function()
    return ("%q on the terminal, which has:\n%s"):format(text, self:text():sub(self.seen + 1))
  end)
  local between = self:text():sub(self.seen + 1, from - 1)
  self.seen = to
  return between
end

--- Waits for the program's end. Raises unless the terminal is then as it was.
---@return integer status
function Terminal:wait_exit()
  self.process:wait_exit()
  cleanup.remove(self)
  local text = self:text():gsub("\r", "")
  local before, status, after = text:match "before (%S+)\n", text:match "status (%d+)\n", text:match "after (%S+)\n"
  if not before or before ~= after then
    loop.raise(("the terminal is not as it was: %s, %s\n%s"):format(before, after, text))
  end
  return tonumber(status)
end

--- Ends the program, if it still runs, as a terminal that goes away does.
function Terminal:close()
  self.process:kill "sigkill"
  self.process:wait_exit()
end

--- Sends a signal to a process that the terminal has.
---@param pid integer
---@param signal string
function M.kill(pid, signal)
  uv.kill(pid, signal)
end

return M
