-- Calls of Lua's own library that stop the whole script until they are done: each warns once, with the script's line
-- and the name of what does not. While the script is loaded nobody waits, so they say nothing then.

local core = require "sse.core"
local options = require "sse.options"

local M = {}

local warned = {}
local pipes = setmetatable({ [io.stdin] = "standard input" }, { __mode = "k" })

local function warn(name, instead)
  if core.is_loading() or warned[name] then
    return
  end
  warned[name] = true
  local place = options.position()
  core.log("warn", ("%s%s stops the whole script until it is done: use %s"):format(
    place and place .. ": " or "", name, instead))
end

--- What a file handle reads from, when that is somebody who may take their time.
local function slow_source(file)
  return pipes[file or io.input()]
end

local function warn_of_reading(name, file)
  local source = slow_source(file)
  if source then
    warn(name .. " of " .. source, "sse.exec for what a program says")
  end
end

local function finish(name, ok, ...)
  if not ok then
    options.raise(((...):gsub("'%?'", "'" .. name .. "'")))
  end
  return ...
end

--- Calls Lua's own function; its errors are the script's mistakes, at the script's line.
local function call(name, fn, ...)
  return finish(name, pcall(fn, ...))
end

local function watch_programs()
  local execute, popen = os.execute, io.popen
  function os.execute(...) -- luacheck: ignore 122
    local command = ...
    if type(command) == "string" then
      warn("os.execute", command:find "^%s*sleep%s" and "sse.sleep" or "sse.exec")
    end
    return call("execute", execute, ...)
  end

  local function keep(file, ...)
    if file then
      pipes[file] = "a pipe"
    end
    return file, ...
  end
  function io.popen(...) -- luacheck: ignore 122
    warn("io.popen", "sse.exec")
    return keep(call("popen", popen, ...))
  end
end

local function watch_reading()
  local methods = getmetatable(io.stdin).__index
  local read, lines, file_read, file_lines = io.read, io.lines, methods.read, methods.lines
  function io.read(...) -- luacheck: ignore 122
    warn_of_reading "io.read"
    return call("read", read, ...)
  end
  function io.lines(...) -- luacheck: ignore 122
    if (...) == nil then
      warn_of_reading "io.lines"
    end
    return call("lines", lines, ...)
  end
  function methods.read(...)
    warn_of_reading("file:read", (...))
    return call("read", file_read, ...)
  end
  function methods.lines(...)
    warn_of_reading("file:lines", (...))
    return call("lines", file_lines, ...)
  end
end

--- Puts the watched forms in the place of Lua's own.
function M.watch()
  watch_programs()
  watch_reading()
end

return M
