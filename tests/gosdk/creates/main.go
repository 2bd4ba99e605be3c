// Command creates makes kube clusters with nothing but calls in flight, and prints the seconds
// that the server took: what `tests/teleport` measures the agent against.
//
//	creates ADDRESS IDENTITY_FILE COUNT IN_FLIGHT KUBECONFIG_BASE64
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/gravitational/teleport/api/client"
	"github.com/gravitational/teleport/api/types"
)

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func cluster(n int, kubeconfig []byte) types.KubeCluster {
	made, err := types.NewKubernetesClusterV3(types.Metadata{
		Name: fmt.Sprintf("reconciler-create-%04d", n),
		Labels: map[string]string{
			"env":                              "bench",
			"teleport.hidden/reconciler-owner": "creates",
		},
	}, types.KubernetesClusterSpecV3{Kubeconfig: kubeconfig})
	if err != nil {
		log.Fatal(err)
	}
	return made
}

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: creates ADDRESS IDENTITY_FILE COUNT IN_FLIGHT KUBECONFIG_BASE64")
	}
	count, inFlight := number(os.Args[3]), number(os.Args[4])
	kubeconfig, err := base64.StdEncoding.DecodeString(os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	clt, err := client.New(ctx, client.Config{
		Addrs:       []string{os.Args[1]},
		Credentials: []client.Credentials{client.LoadIdentityFile(os.Args[2])},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer clt.Close()
	// The connection is made before the clock starts.
	if _, err := clt.Ping(ctx); err != nil {
		log.Fatal(err)
	}
	todo := make(chan types.KubeCluster, count)
	for n := range count {
		todo <- cluster(n, kubeconfig)
	}
	close(todo)
	done := make(chan error, inFlight)
	started := time.Now()
	for range inFlight {
		go func() {
			for one := range todo {
				if err := clt.CreateKubernetesCluster(ctx, one); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range inFlight {
		if err := <-done; err != nil {
			log.Fatal(err)
		}
	}
	fmt.Printf("%.3f\n", time.Since(started).Seconds())
}
