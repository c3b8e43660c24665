-- `./dev run`: which script it serves, and whose files the names on its line are. Nothing is built here: the tools
-- that it calls are stand-ins, and the router tells what it is given.

local uv = require "luv"
local cleanup = require "spec.support.cleanup"
local files = require "spec.support.files"
local process = require "spec.support.process"

local stand_ins = {
  ["bin/cmake"] = "exit 0",
  ["bin/dpkg-query"] = "printf installed",
  ["bin/pkg-config"] = "exit 0",
  ["build/release/sse-router"] = [[pwd; printf '%s\n' "$@"]],
}

describe("./dev run", function()
  local root, caller

  before_each(function()
    root = uv.fs_realpath(files.directory())
    caller = uv.fs_realpath(files.directory { ["mine.lua"] = "", ["plain"] = "" })
    for _, name in ipairs { "bin", "build", "build/release", "examples" } do
      assert(uv.fs_mkdir(root .. "/" .. name, 448))
    end
    for name, text in pairs(stand_ins) do
      files.write(root .. "/" .. name, "#!/bin/sh\n" .. text .. "\n")
      assert(uv.fs_chmod(root .. "/" .. name, 448))
    end
    files.write(root .. "/examples/facts.lua", "")
    files.write(root .. "/examples/news.lua", "")
    files.write(root .. "/dev", files.read "dev")
    assert(uv.fs_chmod(root .. "/dev", 448))
  end)
  after_each(cleanup.run)

  --- What the router is given: where it is started, then its arguments.
  local function run(where, ...)
    local result = process.run({ root .. "/dev", "run", ... },
      { cwd = where, env = { PATH = root .. "/bin:" .. os.getenv "PATH" } })
    assert.same({ 0, "" }, { result.status, result.stderr })
    local lines = {}
    for line in result.stdout:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    return lines
  end

  it("serves the facts unless it is told otherwise", function()
    assert.same({ root, "examples/facts.lua" }, run(root))
    assert.same({ caller, root .. "/examples/facts.lua" }, run(caller))
    assert.same({ root, "--listen", ":0", "examples/facts.lua" }, run(root, "--listen", ":0"))
    assert.same({ root, "--listen", ":0", "examples/facts.lua" }, run(root, "--", "--listen", ":0"))
  end)

  it("serves a script, before or behind its options", function()
    assert.same({ root, "--watch", "examples/news.lua" }, run(root, "examples/news.lua", "--watch"))
    assert.same({ root, "--watch", "examples/news.lua" }, run(root, "--watch", "examples/news.lua"))
    assert.same({ root, "-e", "x()" }, run(root, "-e", "x()"))
    assert.same({ root, "--check", "-" }, run(root, "-", "--check"))
    assert.same({ root, "new", "feed" }, run(root, "new", "feed"))
  end)

  it("takes files from where it is called, or else its own examples", function()
    assert.same({ caller, "mine.lua" }, run(caller, "mine.lua"))
    assert.same({ caller, "plain" }, run(caller, "plain"))
    assert.same({ caller, root .. "/examples/news.lua" }, run(caller, "examples/news.lua"))
    assert.same({ caller, "absent.lua" }, run(caller, "absent.lua"))
  end)
end)
