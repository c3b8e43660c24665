-- The includes of src/ keep to the layers, so that what a file may touch can be told from its folder.

local layers = require "spec.unit.layers"

local here = debug.getinfo(1, "S").source:match "^@(.*)layers_spec%.lua$" or "spec/unit/"

--- The problems of a small tree that is sound but for the given files.
local function problems_with(files)
  local tree = {
    ["main.c"] = '#include "app/router.h"\n',
    ["app/router.h"] = '#include "net/shard.h"\n#include "script/vm.h"\n#include <uv.h>\n',
    ["net/shard.h"] = '#include <uv.h>\n#include "core/hub.h"\n',
    ["script/vm.h"] = '#include <lua.h>\n#include <lauxlib.h>\n#include "store/store.h"\n',
    ["store/store.h"] = '#include <sqlite3.h>\n#include "core/hub.h"\n',
    ["core/hub.h"] = '#include "base/list.h"\n#include "proto/uri.h"\n',
    ["proto/uri.h"] = '#include <llhttp.h>\n#include <string.h>\n#include "base/list.h"\n',
    ["base/list.h"] = "#include <stdlib.h>\n",
  }
  for path, text in pairs(files) do
    tree[path] = text
  end
  return layers.problems(tree)
end

local function only_problem_of(files)
  local problems = problems_with(files)
  assert.equal(1, #problems, table.concat(problems, "\n"))
  return problems[1]
end

describe("the check of the layers", function()
  it("finds nothing in a sound tree", function()
    assert.same({}, problems_with {})
  end)

  it("finds an include from above", function()
    local above = {
      ["base/a.c"] = "proto/uri.h",
      ["proto/a.c"] = "core/hub.h",
      ["core/a.c"] = "store/store.h",
      ["store/a.c"] = "net/shard.h",
      ["net/a.c"] = "app/router.h",
      ["script/a.c"] = "app/router.h",
    }
    for path, target in pairs(above) do
      local message = only_problem_of { [path] = ('#include "%s"\n'):format(target) }
      assert.matches(('%s includes "%s": '):format(path, target), message, 1, true)
    end
  end)

  it("finds net and script seeing each other", function()
    assert.matches("net must not know script", only_problem_of { ["net/a.c"] = '#include "script/vm.h"' })
    assert.matches("script must not know net", only_problem_of { ["script/a.c"] = '#include "net/shard.h"' })
  end)

  it("finds the header of a library outside its folder", function()
    local foreign = {
      { "app/a.c", "lua.h" },
      { "core/a.h", "lauxlib.h" },
      { "net/a.c", "lualib.h" },
      { "main.c", "luaconf.h" },
      { "net/a.c", "llhttp.h" },
      { "script/a.c", "sqlite3.h" },
      { "base/a.c", "uv.h" },
      { "proto/a.c", "uv.h" },
      { "core/a.c", "uv.h" },
      { "store/a.c", "uv.h" },
      { "core/a.c", "uv/unix.h" },
    }
    for _, case in ipairs(foreign) do
      local message = only_problem_of { [case[1]] = ("  #  include <%s>\n"):format(case[2]) }
      assert.matches(("%s includes <%s>"):format(case[1], case[2]), message, 1, true)
    end
  end)

  it("finds cycles of files, within a folder too", function()
    local message = only_problem_of {
      ["core/hub.h"] = '#include "core/channel.h"\n',
      ["core/channel.h"] = '#include "core/log.h"\n',
      ["core/log.h"] = '#include "core/hub.h"\n',
    }
    assert.equal("a cycle: core/hub.h > core/channel.h > core/log.h > core/hub.h", message)
  end)

  it("finds a file that is not there, and a folder without a place", function()
    assert.matches("which is not there", only_problem_of { ["core/a.c"] = '#include "hub.h"\n' })
    assert.matches(
      "has no place among the layers",
      only_problem_of { ["util/a.c"] = '#include "base/list.h"\n' }
    )
  end)
end)

describe("src/", function()
  local files = layers.read(here .. "../../src")

  it("is read whole", function()
    for _, path in ipairs { "main.c", "base/list.h", "proto/uri.c", "core/hub.c", "net/shard.h", "app/router.c" } do
      assert.truthy(files[path], path)
    end
  end)

  it("keeps to the layers", function()
    assert.same({}, layers.problems(files))
  end)
end)
