--- Builds what the bench needs and installs the peers.

local uv = require "luv"
local process = require "runner.process"

local M = {}

local packages = { nchan = { "nginx-core", "libnginx-mod-nchan" }, node = { "nodejs" } }

local function must(...)
  local done = process.run({ ... }, 900)
  if done.code ~= 0 then
    error(("%s failed:\n%s%s"):format(table.concat({ ... }, " "), done.output, done.errors), 0)
  end
end

--- Builds the load generator and the bare loop.
---@param bench string this folder
---@param build string
function M.build_load(bench, build)
  must("cmake", "-S", bench, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release")
  must("cmake", "--build", build)
end

--- The sse-router program: $SSE_ROUTER, or a release build of this checkout.
---@param root string
---@return string|nil
function M.router(root)
  local named = os.getenv("SSE_ROUTER")
  if named then return named end
  if not uv.fs_stat(root .. "/CMakePresets.json") then return nil end
  must("cmake", "-S", root, "--preset", "release")
  must("cmake", "--build", root .. "/build/release", "--target", "sse-router")
  return root .. "/build/release/sse-router"
end

--- Installs a peer's packages, where this is Debian and we may.
---@param target bench.Target
function M.install(target)
  local names = packages[target.name]
  if not names or not process.first_line("apt-get", "--version") or process.first_line("id", "-u") ~= "0" then
    return
  end
  io.stderr:write(("bench: installing %s\n"):format(table.concat(names, ", ")))
  local command = { "apt-get", "install", "-y", "--no-install-recommends", table.unpack(names) }
  local done = process.run(command, 600)
  if done.code ~= 0 then io.stderr:write(done.errors, "\n") end
end

return M
