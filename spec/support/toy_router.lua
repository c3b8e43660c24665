#!/usr/bin/env lua5.4
-- Stands in for the binary where the support itself is proved: it takes the router's command line, prints
-- ready lines, and runs the script given to it as plain Lua with a few functions for misbehaving.

local uv = require "luv"

local log = io.stderr
local script, listen = nil, {}

local takes_value = {
  ["--listen"] = true, ["--threads"] = true, ["--log-level"] = true, ["--budget"] = true, ["-e"] = true,
}

local at = 1
while arg[at] do
  if arg[at] == "--listen" then
    listen[#listen + 1] = arg[at + 1]
  elseif arg[at] == "-e" then
    script = arg[at + 1]
  elseif not arg[at]:find "^%-." then
    local file = arg[at] == "-" and io.stdin or assert(io.open(arg[at]))
    script = file:read "a"
  end
  at = at + (takes_value[arg[at]] and 2 or 1)
end

local function announce(address)
  if address:find "^unix:" then
    print("sse-router: listening on " .. address)
    return
  end
  local listener = uv.new_tcp()
  assert(listener:bind("127.0.0.1", 0))
  assert(listener:listen(16, function()
    local client = uv.new_tcp()
    listener:accept(client)
    client:read_start(function(_, bytes)
      if bytes then
        client:write "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
      elseif not client:is_closing() then
        client:close()
      end
    end)
  end))
  print(("sse-router: listening on http://127.0.0.1:%d/"):format(listener:getsockname().port))
end

local environment = setmetatable({ args = arg, log = log, uv = uv }, { __index = _G })

function environment.ending()
  log:write "ending\n"
  return 0
end

local terminated = uv.new_signal()
terminated:start("sigterm", function()
  os.exit(environment.ending())
end)

if script then
  assert(load(script, "=script", "t", environment))()
end
for _, address in ipairs(listen) do
  announce(address)
end
io.stdout:flush()
uv.run()
