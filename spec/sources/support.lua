-- What the specs of sources share: a script with one channel, `out`, and looks at the processes of the machine.

local uv = require "luv"
local eventsource = require "spec.support.eventsource"
local files = require "spec.support.files"
local http = require "spec.support.http"
local loop = require "spec.support.loop"
local server = require "spec.support.server"

local M = {}

local head = [[
local sse = require "sse"
local out = sse.channel("out", { history = 10000 })
sse.get("/events", function()
  return sse.subscribe { "out", start = "earliest" }
end)
]]

--- The script's text: `out` is its channel, /events all of its events.
---@param body string
---@return string
function M.script(body)
  return head .. body
end

--- Starts a router with that script; sources tell in its log when they begin.
---@param body string
---@param options table|nil of server.start
---@return support.Server
function M.start(body, options)
  options = options or {}
  options.args = table.move(options.args or {}, 1, #(options.args or {}), 3, { "--log-level", "debug" })
  return server.start(M.script(body), options)
end

--- A client that gets every event of `out`, the first one first.
---@param router support.Server
---@return support.EventSource
function M.listen(router)
  return eventsource.open(router.port, "/events", { reconnect = false }):wait_open()
end

--- The data of the next `count` events.
---@param listener support.EventSource
---@param count integer
---@param seconds number|nil
---@return string[]
function M.take(listener, count, seconds)
  local list = {}
  for index, event in ipairs(listener:take(count, seconds)) do
    list[index] = event.data
  end
  return list
end

--- Asks a route for JSON until `check` is content with the answer, and returns that.
---@param router support.Server
---@param path string
---@param check fun(answer: any): any
---@return any
function M.poll(router, path, check)
  local deadline = loop.now() + loop.limit()
  local answer
  repeat
    answer = http.get(router.port, path):json()
  until check(answer) or loop.now() > deadline
  assert(check(answer), "this was not to be the answer of " .. path)
  return answer
end

--- "1", "2", ... as a list.
function M.numbers(first, last)
  local list = {}
  for number = first, last do
    list[#list + 1] = tostring(number)
  end
  return list
end

--- "R", "S", "Z", ... of a process, or nil when there is none.
---@param pid integer|string
---@return string|nil
function M.state(pid)
  local status = files.read(("/proc/%d/stat"):format(pid))
  return status and status:match "^%d+ %(.*%) (%a)"
end

--- Whether a process runs. One that waits to be reaped does not.
---@param pid integer|string
---@return boolean
function M.is_alive(pid)
  local state = M.state(pid)
  return state ~= nil and state ~= "Z"
end

--- Waits until the process does not run any more.
---@param pid integer|string
function M.wait_gone(pid)
  loop.wait_until(function()
    return not M.is_alive(pid)
  end, nil, ("process %s to end"):format(pid))
end

--- Expects that each of these calls raises its message with the position of the call.
---@param calls table<string, string> call = message
function M.expect_mistakes(calls)
  local lines, expected = { 'local sse = require "sse"' }, {}
  for call, message in pairs(calls) do
    lines[#lines + 1] = ('print(select(2, pcall(function() %s end)))'):format(call)
    expected[#expected + 1] = ("script.lua:%d: %s"):format(#lines, message)
  end
  local directory = files.directory { ["script.lua"] = table.concat(lines, "\n") }
  local result = server.run { "--check", directory .. "/script.lua" }
  local told = result.stdout:gsub("[^\n]*(script.lua:)", "%1")
  local wanted = table.concat(expected, "\n") .. "\n"
  if told:sub(1, #wanted) ~= wanted then
    loop.raise(("these messages were expected:\n%s\nand these came:\n%s%s"):format(wanted, told, result.stderr))
  end
end

--- The parent's id.
function M.parent(pid)
  local status = files.read(("/proc/%d/stat"):format(pid))
  return status and tonumber(status:match "^%d+ %(.*%) %a (%d+)")
end

--- Processes whose parent is `pid`, except for the guard, as { id = state }.
---@param pid integer
---@return table<integer, string>
function M.children(pid)
  local found = {}
  local entries = assert(uv.fs_scandir "/proc")
  for name in uv.fs_scandir_next, entries do
    local id = tonumber(name)
    local command = id and M.parent(id) == pid and files.read(("/proc/%d/comm"):format(id))
    if command and command ~= "sse-guard\n" then
      found[id] = M.state(id)
    end
  end
  return found
end

--- Waits until `pid` has so many children.
---@param pid integer
---@param count integer
function M.wait_children(pid, count)
  loop.wait_until(function()
    local found = 0
    for _ in pairs(M.children(pid)) do
      found = found + 1
    end
    return found == count
  end, nil, count .. " children")
end

--- Waits until a file has what `check` wants of its content, and returns that.
---@param path string
---@param check fun(content: string): any
---@return any
function M.wait_file(path, check)
  return loop.wait_until(function()
    local content = files.read(path)
    return content and check(content)
  end, nil, "the content of " .. path)
end

return M
