-- The real binary under test: started with a script, awaited until it listens, ended with its exit
-- status and its sanitizer log checked.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"
local files = require "spec.support.files"
local loop = require "spec.support.loop"
local process = require "spec.support.process"

local M = {}

---@class support.Server
---@field port integer|nil of the first TCP address
---@field url string|nil of the first TCP address, without a slash at the end: "http://127.0.0.1:40123"
---@field addresses string[] as the ready lines name them
---@field pid integer
---@field directory string temporary, holds the script; also the place for a spec's own files
---@field script string path of the script
---@field process support.Process
local Server = {}
Server.__index = Server

local ready_pattern = "^sse%-router: listening on (.+)$"

--- The binary under test. `require "spec.support.server".binary` may be compared or started otherwise.
M.binary = os.getenv "SSE_ROUTER" or "build/debug/sse-router"

--- How much more memory everything may take: the shadow that a sanitizer keeps of it. The rounds set it.
M.memory_scale = tonumber(os.getenv "SSE_ROUTER_SPEC_MEMORY" or "") or 1

local function absolute(path)
  return path:sub(1, 1) == "/" and path or assert(uv.cwd()) .. "/" .. path
end

local function words(text)
  local list = {}
  for word in (text or ""):gmatch "%S+" do
    list[#list + 1] = word
  end
  return list
end

local function list_of(value)
  return type(value) == "table" and value or { value }
end

local function append(list, more)
  return table.move(more, 1, #more, #list + 1, list)
end

local function check_binary()
  if not files.read(M.binary) then
    loop.raise(("there is no %s: build it, or name another with SSE_ROUTER"):format(M.binary))
  end
end

--- On a machine that has other things to do no script runs out of its time, unless a spec is about that.
local patience = { "--budget", "60s" }

local function command_line(script, options, listen)
  local args = append(append({ absolute(M.binary) }, words(os.getenv "SSE_ROUTER_ARGS")), patience)
  for _, address in ipairs(listen) do
    append(args, { "--listen", address })
  end
  if options.threads then
    append(args, { "--threads", tostring(options.threads) })
  end
  append(args, options.args or {})
  args[#args + 1] = script
  return args
end

local function wait_ready(self, count, seconds)
  local from = 1
  for _ = 1, count do
    local address, number = self.process:wait_line("stdout", ready_pattern, seconds, from)
    from = number + 1
    table.insert(self.addresses, address)
    local url = address:match "^(http://.+)/$"
    if url and not self.port then
      self.url, self.port = url, tonumber(url:match ":(%d+)$")
    end
  end
end

local function start(script, options, directory)
  check_binary()
  local listen = options.listen == false and {} or list_of(options.listen or "127.0.0.1:0")
  local child = process.spawn(command_line(script, options, listen), {
    name = "sse-router",
    env = options.env,
    cwd = options.cwd,
    stdin = options.stdin,
    wrapper = options.wrapper,
  })
  local self = setmetatable({ process = child, pid = child.pid, addresses = {} }, Server)
  self.directory, self.script = directory, script
  cleanup.remove(child)
  cleanup.add(self, Server.finish)
  local ok, message = pcall(wait_ready, self, options.ready or math.max(1, #listen), options.seconds)
  if not ok then
    self:abandon()
    error(message, 0)
  end
  return self
end

--- Starts the binary with a script's text and waits for its ready lines.
--- Options: `args` (further arguments), `env`, `cwd`, `threads`, `stdin`, `listen` (an address or a list;
--- false: as the script says), `files` (name -> content, beside the script), `wrapper` (a command to start
--- it through), `ready` (number of ready lines to wait for, default one for each address; 0: do not wait),
--- `seconds` (limit for them).
---@param text string|nil nil: no script argument, for `-e`
---@param options table|nil
---@return support.Server
function M.start(text, options)
  options = options or {}
  local directory = files.directory(options.files)
  local script
  if text then
    script = directory .. "/script.lua"
    files.write(script, text)
  end
  return start(script, options, directory)
end

--- The same with the path of a script, or "-" with `stdin`.
---@param path string
---@param options table|nil
---@return support.Server
function M.start_file(path, options)
  return start(path, options or {}, files.directory())
end

--- Runs the binary to its end with these arguments. Options: `stdin`, `env`, `cwd`, `seconds`.
--- Raises on a sanitizer's report.
---@param args string[]
---@param options table|nil
---@return table result { status, signal, stdout, stderr }
function M.run(args, options)
  check_binary()
  local all = append({ absolute(M.binary) }, words(os.getenv "SSE_ROUTER_ARGS"))
  local child = process.spawn(append(all, args), options)
  child:wait_exit(options and options.seconds)
  child:assert_no_report()
  return {
    status = child.status,
    signal = child.signal,
    stdout = child:text "stdout",
    stderr = child:text "stderr",
  }
end

--- Ends what the specs left running, and checks it as `stop` does. For `after_each`.
M.stop_all = cleanup.run

--- Kills the process without asking anything of it.
function Server:abandon()
  cleanup.remove(self)
  self.process:discard()
end

--- Ends the server as an operator would and checks that it ended well.
---@param seconds number|nil
function Server:stop(seconds)
  self:kill "sigterm"
  local ok, status, signal = pcall(self.wait_exit, self, seconds)
  if not ok then
    self:abandon()
    error(status, 0)
  end
  if status ~= 0 or signal ~= 0 then
    loop.raise(("sse-router ended with status %d, signal %d:\n%s"):format(status, signal, self:log()))
  end
end

--- Sends a signal; does not wait. After "sigkill" the clean-up asks no more of the server.
---@param signal string|integer|nil default "sigkill"
function Server:kill(signal)
  self.process:kill(signal)
  self.killed = self.killed or signal == nil or signal == "sigkill" or signal == 9
end

--- Waits for the end; the exit status is then the caller's to judge. Raises on a sanitizer's report.
---@param seconds number|nil
---@return integer status
---@return integer signal
function Server:wait_exit(seconds)
  local status, signal = self.process:wait_exit(seconds)
  cleanup.remove(self)
  self.process:assert_no_report()
  return status, signal
end

--- What the clean-up does: a server that nobody ended must still end well.
function Server:finish()
  if self.killed then
    self:abandon()
  else
    self:stop()
  end
end

--- Whether the process still runs.
---@return boolean
function Server:running()
  return self.process.status == nil
end

--- Waits for a line on stderr, also among those already there.
---@param pattern string a Lua pattern
---@param seconds number|nil
---@return string line, or the pattern's first capture
function Server:wait_log(pattern, seconds)
  return (self.process:wait_line("stderr", pattern, seconds))
end

--- Everything on stderr so far.
---@return string
function Server:log()
  return self.process:text "stderr"
end

--- Everything on stdout so far.
---@return string
function Server:output()
  return self.process:text "stdout"
end

--- Replaces the script, as an editor that saves does.
---@param text string
function Server:rewrite(text)
  files.write(self.script, text)
end

local function proc(self, name)
  return assert(files.read(("/proc/%d/%s"):format(self.pid, name)))
end

--- Number of open file descriptors.
---@return integer
function Server:descriptors()
  local entries = assert(uv.fs_scandir(("/proc/%d/fd"):format(self.pid)))
  local count = 0
  while uv.fs_scandir_next(entries) do
    count = count + 1
  end
  return count
end

--- Memory in bytes: `resident` (VmRSS) and `proportional` (Pss).
---@return { resident: integer, proportional: integer }
function Server:memory()
  local rollup = proc(self, "smaps_rollup")
  return {
    resident = tonumber(proc(self, "status"):match "VmRSS:%s*(%d+)") * 1024,
    proportional = tonumber(rollup:match "\nPss:%s*(%d+)") * 1024,
  }
end

return M
