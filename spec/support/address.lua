-- Where a client connects to, in the forms that specs have at hand.

local uv = require "luv"
local loop = require "spec.support.loop"

local M = {}

---@class support.Address
---@field path string|nil of a unix socket
---@field host string|nil numeric
---@field port integer|nil
---@field authority string what a `Host` header says

--- Reads an address: a port on 127.0.0.1, "host:port", "[::1]:port", "unix:/path", or a ready line's URL.
---@param address integer|string
---@return support.Address
function M.parse(address)
  if type(address) == "number" then
    return { host = "127.0.0.1", port = address, authority = ("127.0.0.1:%d"):format(address) }
  end
  local path = address:match "^unix:(.+)$"
  if path then
    return { path = path, authority = "localhost" }
  end
  local authority = address:match "^http://([^/]+)" or address
  local host, port = authority:match "^%[?([^%]]-)%]?:(%d+)$"
  if not host then
    error(("%q is no address"):format(address), 2)
  end
  return { host = host, port = tonumber(port), authority = authority }
end

--- Begins to connect. Options: `receive_buffer` (bytes of SO_RCVBUF, set before connecting so that it
--- bounds the window).
---@param address support.Address
---@param options { receive_buffer: integer|nil }|nil
---@param connected fun(problem: string|nil)
---@return userdata handle luv TCP or pipe handle
function M.connect(address, options, connected)
  connected = loop.protect(connected)
  if address.path then
    local pipe = uv.new_pipe(false)
    pipe:connect(address.path, connected)
    return pipe
  end
  local family = address.host:find(":", 1, true) and "inet6" or "inet"
  local tcp = uv.new_tcp(family)
  if options and options.receive_buffer then
    tcp:recv_buffer_size(options.receive_buffer)
  end
  tcp:nodelay(true)
  tcp:connect(address.host, address.port, connected)
  return tcp
end

return M
