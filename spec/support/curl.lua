-- curl as a client that nobody here wrote.

local process = require "spec.support.process"

local M = {}

local function command(args)
  local all = { "curl", "--silent", "--show-error", "--no-buffer", "--noproxy", "*" }
  return table.move(args, 1, #args, #all + 1, all)
end

--- Runs curl to its end.
---@param args string[]
---@param options table|nil as for `process.run`
---@return table result { status, signal, stdout, stderr }
function M.run(args, options)
  return process.run(command(args), options)
end

--- Starts curl on a stream: `:wait_line("stdout", pattern)`, `.stdout` (lines), `:kill()`.
---@param args string[]
---@param options table|nil as for `process.spawn`
---@return support.Process
function M.start(args, options)
  return process.spawn(command(args), options)
end

return M
