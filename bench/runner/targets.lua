--- The servers under test: how each is found, started, and asked for its version.

local uv = require "luv"
local process = require "runner.process"

local M = {}

---@class bench.Running
---@field process bench.Process
---@field port integer

---@class bench.Target
---@field name string
---@field title string
---@field missing fun(place: bench.Place): string|nil why it cannot run here
---@field command fun(place: bench.Place, options: string[]): string[], integer|nil its port, if it cannot pick one
---@field version fun(place: bench.Place): string

---@class bench.Place where things are
---@field bench string this folder
---@field build string the load generator and the bare loop
---@field router string|nil the sse-router program
---@field router_options string[] given to sse-router before the script
---@field server_core string|nil processors the servers are pinned to
---@field load_core string|nil

local modules = { "/usr/lib/nginx/modules/ngx_nchan_module.so", "/usr/lib64/nginx/modules/ngx_nchan_module.so" }

local function exists(path)
  return uv.fs_stat(path) ~= nil
end

local function nchan_module()
  for _, path in ipairs(modules) do
    if exists(path) then return path end
  end
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local function bare(name, title, ...)
  local options = { ... }
  return {
    name = name,
    title = title,
    missing = function() end,
    command = function(place) return { place.build .. "/sse-bare", table.unpack(options) } end,
    version = function() return "of this commit" end,
  }
end

local router = {
  name = "router",
  title = "sse-router",
  missing = function(place)
    return not place.router and "there is no sse-router binary; build it or set SSE_ROUTER" or nil
  end,
  command = function(place, options)
    local command = { place.router, "--listen", "127.0.0.1:0" }
    table.move(place.router_options, 1, #place.router_options, #command + 1, command)
    table.move(options, 1, #options, #command + 1, command)
    command[#command + 1] = place.bench .. "/feeds.lua"
    return command
  end,
  version = function(place) return (process.first_line(place.router, "--version") or "?"):match("%S+$") end,
}

local nchan = {
  name = "nchan",
  title = "nginx + nchan",
  missing = function()
    if not process.first_line("nginx", "-v") then return "nginx is not installed" end
    return not nchan_module() and "nginx has no nchan module" or nil
  end,
  command = function(place)
    local port, folder = process.free_port(), place.build .. "/nchan"
    uv.fs_mkdir(folder, 493)
    local values = { MODULE = nchan_module(), PORT = port, FOLDER = folder }
    local text = read(place.bench .. "/peers/nchan.conf"):gsub("@(%u+)@", values)
    write(folder .. "/nchan.conf", text)
    return { "nginx", "-p", folder, "-e", folder .. "/error.log", "-c", folder .. "/nchan.conf" }, port
  end,
  version = function()
    local package = process.first_line("dpkg-query", "-W", "-f", "${Version}", "libnginx-mod-nchan")
    local version = (process.first_line("nginx", "-v") or ""):match("nginx/(%S+)")
    return ("nginx %s, nchan %s"):format(version or "?", package or "?")
  end,
}

local node = {
  name = "node",
  title = "Node, a loop of write",
  missing = function() return not process.first_line("node", "--version") and "Node is not installed" or nil end,
  command = function(place) return { "node", place.bench .. "/peers/node.js" } end,
  version = function() return process.first_line("node", "--version") or "?" end,
}

---@type bench.Target[]
M.all = {
  bare("bare", "a bare loop of send"),
  bare("joining", "the same, joining what waits", "--joining"),
  router,
  nchan,
  node,
}

---@param name string
---@return bench.Target|nil
function M.named(name)
  for _, target in ipairs(M.all) do
    if target.name == name then return target end
  end
end

--- The command behind `taskset`, if there is a core to pin it to.
---@param core string|nil
---@param command string[]
---@return string[]
function M.pinned(core, command)
  return core and { "taskset", "-c", core, table.unpack(command) } or command
end

--- Starts a command that prints a ready line, or that listens on `port`, and waits until it does.
--- Raises if it does not within `seconds`, ten if not given.
---@param command string[]
---@param port integer|nil
---@param seconds number|nil
---@return bench.Running
function M.start_command(command, port, seconds)
  local started = process.start(command)
  local function ready_port()
    return port or tonumber(started.output:match("listening on http://127%.0%.0%.1:(%d+)/"))
  end
  process.wait(seconds or 10, function() return ready_port() ~= nil or started.code ~= nil end)
  if started.code or not ready_port() or not process.wait_for_answer(ready_port(), 10) then
    process.stop(started)
    error(("%s did not start: %s"):format(table.concat(command, " "), started.errors), 0)
  end
  return { process = started, port = ready_port() }
end

--- Starts a target.
---@param target bench.Target
---@param place bench.Place
---@param options string[]|nil more of them, for sse-router
---@return bench.Running
function M.start(target, place, options)
  local command, port = target.command(place, options or {})
  return M.start_command(M.pinned(place.server_core, command), port)
end

return M
