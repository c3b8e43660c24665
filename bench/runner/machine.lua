--- What a result has to say of the machine it comes from.

local uv = require "luv"
local process = require "runner.process"

local M = {}

--- How many processors this process may use.
---@return integer
function M.cores()
  return tonumber(process.first_line("nproc")) or 1
end

local function operating_system()
  local file = io.open("/etc/os-release")
  local text = file and file:read("a") or ""
  if file then file:close() end
  return text:match('PRETTY_NAME="([^"]+)"') or "Linux"
end

---@class bench.Machine
---@field lines string[] one fact each
---@field load number the load average before the bench began

---@return bench.Machine
function M.describe()
  local cpus = uv.cpu_info()
  local uname = uv.os_uname()
  return {
    load = (uv.loadavg()),
    lines = {
      ("%d processors of type %s"):format(#cpus, cpus[1].model),
      ("%.0f GiB of memory"):format(uv.get_total_memory() / 2 ^ 30),
      ("%s, Linux %s, %s"):format(operating_system(), uname.release, uname.machine),
    },
  }
end

return M
