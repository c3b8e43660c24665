--- Processes of the bench: started, waited for with a limit, and ended, each by its own id.

local uv = require "luv"

local M = {}

local running = {}

---@class bench.Process
---@field pid integer
---@field name string
---@field output string what it wrote to stdout so far
---@field errors string what it wrote to stderr so far
---@field code integer|nil its exit status, once it has ended
---@field signal integer|nil

--- Turns the loop until `done()` is true. False if that took longer than `seconds`.
---@param seconds number
---@param done fun(): boolean
---@return boolean
function M.wait(seconds, done)
  local timer, late = uv.new_timer(), false
  timer:start(math.floor(seconds * 1000), 0, function() late = true end)
  while not done() and not late do uv.run("once") end
  timer:close()
  return done()
end

local function collect(process, pipe, field)
  pipe:read_start(function(_, text)
    if text then
      process[field] = process[field] .. text
    else
      process.open_pipes = process.open_pipes - 1
      pipe:close()
    end
  end)
end

--- Starts a command. Raises if it cannot be started.
---@param command string[]
---@param environment string[]|nil NAME=value entries in place of our own
---@return bench.Process
function M.start(command, environment)
  local process = { name = command[1], output = "", errors = "", open_pipes = 2 }
  local stdout, stderr = uv.new_pipe(false), uv.new_pipe(false)
  local options = { args = { table.unpack(command, 2) }, stdio = { nil, stdout, stderr }, env = environment }
  local handle, pid = uv.spawn(command[1], options, function(code, signal)
    process.code, process.signal = code, signal
    running[process] = nil
    process.handle:close()
  end)
  if not handle then
    error(("cannot start %s: %s"):format(command[1], pid), 2)
  end
  process.handle, process.pid = handle, pid
  running[process] = true
  collect(process, stdout, "output")
  collect(process, stderr, "errors")
  return process
end

--- Ends a process: asks, and after five seconds insists.
---@param process bench.Process
function M.stop(process)
  local function ended() return process.code ~= nil end
  if ended() then return end
  process.handle:kill("sigterm")
  if not M.wait(5, ended) then
    process.handle:kill("sigkill")
    M.wait(5, ended)
  end
end

--- Ends all that is still running.
function M.stop_all()
  for process in pairs(running) do
    if process.code == nil then process.handle:kill("sigkill") end
  end
  M.wait(5, function() return next(running) == nil end)
end

--- Runs a command to its end, or ends it after `seconds`.
---@param command string[]
---@param seconds number
---@return bench.Process
function M.run(command, seconds)
  local process = M.start(command)
  local ended = M.wait(seconds, function() return process.code ~= nil and process.open_pipes == 0 end)
  if not ended then
    M.stop(process)
    process.errors = process.errors .. ("\n%s: ended after %g seconds"):format(process.name, seconds)
  end
  return process
end

--- The first line of what a command prints, or nil if it cannot be run.
---@param ... string
---@return string|nil
function M.first_line(...)
  local ok, process = pcall(M.run, { ... }, 20)
  if not ok or process.code ~= 0 then return nil end
  return (process.output .. process.errors):match("[^\n]+")
end

--- A port that was free a moment ago, for servers that cannot pick one themselves.
---@return integer
function M.free_port()
  local socket = uv.new_tcp()
  assert(socket:bind("127.0.0.1", 0))
  local port = socket:getsockname().port
  socket:close()
  return port
end

--- Asks the port for a page; calls back with whether anything answered.
local function ask(port, callback)
  local socket = uv.new_tcp()
  local function finish(answered)
    if not socket:is_closing() then
      socket:close()
      callback(answered)
    end
  end
  socket:connect("127.0.0.1", port, function(failure)
    if failure then return finish(false) end
    socket:write("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    socket:read_start(function(_, text) finish(text ~= nil) end)
  end)
end

--- True once an HTTP server answers on the port. A port that accepts is not enough: nginx listens before
--- the process that will do the work is there.
---@param port integer
---@param seconds number
---@return boolean
function M.wait_for_answer(port, seconds)
  local answered, asking = false, false
  local pause = uv.new_timer()
  local came = M.wait(seconds, function()
    if not answered and not asking then
      asking = true
      ask(port, function(success)
        answered = success
        pause:start(20, 0, function() asking = false end)
      end)
    end
    return answered
  end)
  pause:close()
  return came
end

return M
